/**
 * Who is signed in in this browser. The token is in localStorage: all tabs share one session, and it lasts until it is
 * ended. A script of somebody else's could read it there; the page's policy lets none run (no inline script, no other
 * origin, no markup made of text), and any place that our own script can read would be as open to such a one. A cookie
 * would not be, but a server that takes cookies must defend every call against other sites' forms. Signing out revokes it.
 */

const KEY = "relay.session";
/** Why the last session ended, if somebody else ended it: all tabs tell, until somebody signs in. */
const WHY = "relay.signed-out";

/** Where the server is: this page may be below a reverse proxy's prefix. */
export const BASE = new URL("..", import.meta.url).href.replace(/\/$/, "");

/** @typedef {{ token: string, userId: string }} Session */

/** @type {Session | null} the session where the browser lets nothing be stored: it lasts as long as the page */
let held = null;

/** @returns {Session | null} */
export function readSession() {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? "null") ?? held;
  } catch {
    return held; // somebody else's, or storage is forbidden
  }
}

/** Keep a session, where the browser lets it. @param {{ token: string, user_id: string }} login */
export function keepSession({ token, user_id }) {
  const session = { token, userId: user_id };
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

/** @param {string} [why] for whoever did not sign out themselves */
export function dropSession(why = "") {
  try {
    if (why && readSession()) localStorage.setItem(WHY, why); // before the other tabs look
    held = null;
    localStorage.removeItem(KEY);
  } catch {
    held = null; // nothing was stored
  }
}

/** Return why the last session ended; empty if its user did that. */
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
