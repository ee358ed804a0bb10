/** What a client does after a connection ended, by its WebSocket close code. */

import { FINAL_CLOSE_CODES } from "./protocol.js";

/** A connection that is cut without a close frame: RFC 6455 reserves this code for that. */
export const CLOSE_LOST = 1006;
/** This client's own, when it connects again: 1000 or 1001 would end the user's grace time at once. */
export const CLOSE_RESYNC = 4000;

const MAX_WAIT_SECONDS = 300;

/**
 * Tell whether the client must stay away: the server would close every further connection in the same way.
 *
 * @param {number} code
 */
export function isFinal(code) {
  // By range, so that a code of a later server counts as well.
  return (code >= 4500 && code <= 4599) || FINAL_CLOSE_CODES.includes(code);
}

/**
 * Return the seconds that the server asks to wait, as the reason says, or undefined; at most 300.
 *
 * @param {number} code
 * @param {string} reason
 */
export function retryAfter(code, reason) {
  if (code < 4400 || code > 4499) return undefined;
  // A number without its name counts as well: a reason may be meant for people.
  const found = /(?:[^]*?retry_after\D{0,4})?(\d[\d.]*)/.exec(reason);
  return found ? Math.min(parseFloat(found[1]), MAX_WAIT_SECONDS) : undefined;
}
