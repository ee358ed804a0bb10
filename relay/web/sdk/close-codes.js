/** Why a connection ended, and whether to come back. */

export const GOODBYE = 1000;
export const LOST = 1006;
export const TOO_BIG = 1009;
export const RESYNC = 4000; // neither 1000 nor 1001, which would end the user's grace time at once
export const TOKEN_REFUSED = 4501;
export const SESSION_REVOKED = 4503;

// What a peer sends when it could not make sense of our frames, or forbids them: the same frames would end the same
// way. Everything else outside 45xx is weather.
const HOPELESS = new Set([1002, 1003, 1007, 1008, 1010]);
const LONGEST_HINT = 300;

/**
 * Tell whether coming back unchanged is hopeless.
 *
 * @param {number} code
 */
export function isFinal(code) {
  return (code >= 4500 && code <= 4599) || HOPELESS.has(code);
}

/**
 * Return the seconds that the server asks to wait, from the reason's text, or undefined; at most 300.
 *
 * @param {number} code
 * @param {string} reason
 */
export function retryAfter(code, reason) {
  if (code < 4400 || code > 4499) return undefined;
  const found = /retry_after\D{0,4}(\d+(?:\.\d+)?)/.exec(reason) ?? /(\d+(?:\.\d+)?)/.exec(reason);
  return found ? Math.min(Number(found[1]), LONGEST_HINT) : undefined;
}
