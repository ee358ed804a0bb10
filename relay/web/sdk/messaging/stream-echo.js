/** Pieces of streams that this page itself writes, for the stores of this page. */

/** @import { Envelope } from "../types.js" */

/** @type {WeakMap<object, Set<(envelope: Envelope<any>) => void>>} by MessagingAPI */
const listeners = new WeakMap();

/**
 * Call back with each piece, until the returned function is called.
 *
 * @param {object} messaging
 * @param {(envelope: Envelope<any>) => void} callback
 */
export function onEcho(messaging, callback) {
  const held = listeners.get(messaging) ?? new Set();
  listeners.set(messaging, held.add(callback));
  return () => void held.delete(callback);
}

/** @param {object} messaging @param {Envelope<any>} envelope */
export function echo(messaging, envelope) {
  for (const callback of listeners.get(messaging) ?? []) callback(envelope);
}
