/** What this user may do in a conversation, as the server says: no button is shown that it would refuse. */

/**
 * Tell whether this user may do something in a conversation. In one of two they may do what both may.
 *
 * @param {{ kind?: string | null, may?: readonly string[] }} view
 * @param {string} act as the server names it: docs/topics/rights.md has all
 */
export function may({ may: allowed }, act) {
  return allowed === undefined || allowed.includes(act);
}
