/** Pinned messages: of all values about a message the newest says whether it is pinned, whoever sent it. */

/** @import { LatestView } from "./latest.js" */
/** @typedef {{ id: string, envelope: any, state: string, error: Error | null }} Outgoing what of a change that is on its way counts here */

/** The type of the messages that pin a message, or take a pin back. */
export const PIN = "pin";

/**
 * Tell whether a message is pinned.
 *
 * @param {readonly LatestView[]} latest the values about it, the newest last
 * @param {Outgoing[]} waiting its changes that are on their way
 */
export function isPinned(latest, waiting) {
  const sent = waiting.findLast(({ envelope }) => envelope.type === PIN);
  return Boolean((sent?.envelope ?? latest.findLast(({ type }) => type === PIN))?.payload.on);
}
