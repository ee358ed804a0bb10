/**
 * The session of this browser: the signed-in user and their token. The token is in localStorage, so all tabs share one
 * session, and it lasts until the user signs out, which revokes it.
 *
 * A foreign script could read the token there. The page's policy lets none run: no inline script, no other origin, no
 * markup made from text. Any other place that our own script can read would be as open to a foreign one. An HttpOnly
 * cookie would not be, but a server that accepts cookies must defend every call against forms of other sites.
 */

const KEY = "relay.session";
/** The key of the reason why the server ended the last session: all tabs show it until a user signs in. */
const WHY = "relay.signed-out";

/** The server's address: the page may be under a reverse proxy's prefix. */
export const BASE = new URL("..", import.meta.url).href.replace(/\/$/, "");

/** Tell whether the page was opened as the administration, at `/admin`, and not as the messenger. */
export function isAdministration() {
  return location.pathname === new URL(`${BASE}/admin`).pathname;
}

/** What else this page keeps there of the user: it goes with the session. */
const TRACES = ["relay.emoji", "relay.dismissed", "relay.levels", "relay.push"];

/** @typedef {{ token: string, userId: string, signOut?: string }} Session signOut: the path that the browser opens after signing out, to sign out elsewhere as well */

/** @type {Session | null} the session where the browser forbids storage: it lasts as long as the page */
let held = null;

/** @returns {Session | null} */
export function readSession() {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? "null") ?? held;
  } catch {
    return held; // the value is not ours, or storage is forbidden
  }
}

/** Store a session, where the browser allows it. @param {{ token: string, user_id: string, sign_out?: string | null }} login */
export function keepSession({ token, user_id, sign_out: signOut }) {
  const session = { token, userId: user_id, ...(signOut && { signOut }) };
  held = null;
  try {
    localStorage.setItem(KEY, JSON.stringify(session));
    localStorage.removeItem(WHY);
  } catch {
    held = session;
  }
}

/** Whether the session ends with the page. */
export function endsWithPage() {
  return held !== null;
}

/** Delete the session. @param {string} [why] for a user who did not sign out themselves */
export function dropSession(why = "") {
  try {
    if (why && readSession()) localStorage.setItem(WHY, why); // before the other tabs read it
    held = null;
    for (const key of [KEY, ...TRACES]) localStorage.removeItem(key);
  } catch {
    held = null; // nothing was stored
  }
}

/** Return why the last session ended; empty if the user signed out. */
export function whyEnded() {
  try {
    return localStorage.getItem(WHY) ?? "";
  } catch {
    return ""; // storage is forbidden
  }
}

/**
 * Call back when another tab signs in or out.
 *
 * @param {() => void} changed
 */
export function watchSession(changed) {
  addEventListener("storage", (event) => (event.key === KEY || event.key === null) && changed());
}
