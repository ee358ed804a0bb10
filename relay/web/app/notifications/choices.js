/** What one chose in this browser: whether it shows notifications, and whether it makes a sound. */

const KEY = "relay.notifications";

/**
 * @typedef {object} Choices
 * @property {boolean} system whether notifications of the system are shown, where the browser allows it
 * @property {boolean} sound
 * @property {boolean} hinted whether the page has offered notifications already
 */

/** @type {Choices} */
const USUAL = { system: true, sound: true, hinted: false };
/** What holds where storage is forbidden: as long as the page. @type {Partial<Choices>} */
let held = {};

/** @returns {Choices} */
export function choices() {
  try {
    return { ...USUAL, ...held, ...JSON.parse(localStorage.getItem(KEY) ?? "{}") };
  } catch {
    return { ...USUAL, ...held };
  }
}

/** @param {Partial<Choices>} change */
export function choose(change) {
  const next = { ...choices(), ...change };
  held = next;
  try {
    localStorage.setItem(KEY, JSON.stringify(next));
  } catch {
    // storage is forbidden
  }
}

/** Whether notifications may be shown: `unsupported` by this browser, or by its rules for pages without TLS. */
export function permission() {
  if (!globalThis.isSecureContext) return "insecure";
  return "Notification" in globalThis ? Notification.permission : "unsupported";
}

/** Ask the browser's user; only after they pressed a button. */
export async function askPermission() {
  const answer = await Notification.requestPermission();
  if (answer === "granted") choose({ system: true });
  return answer;
}
