/** An outbox message as plain data: in the storage, and between tabs. Field names are a format: stored data has them. */

/** @import { Entry } from "./queue.js" */
/** @import { SentMessage } from "./sent-message.js" */
/** @import { Envelope } from "./types.js" */

/** @typedef {{number: number, envelope: Envelope<any>, keep: boolean, error?: object}} OutboxRecord */

/** Return the storage key of a message: keys sort in the order of writing. @param {Entry} entry */
export function keyOf({ number, message }) {
  return `outbox/${String(number).padStart(17, "0")}/${message.id}`;
}

/** @param {Entry} entry @returns {OutboxRecord} */
export function recordOf({ number, message, keep }) {
  return { number, keep, envelope: message.envelope, ...(message.error ? { error: errorOf(message) } : {}) };
}

/** @param {SentMessage} message */
export function errorOf({ error }) {
  const { code = "internal", message, retry, retryAfter: retry_after, details } = /** @type {any} */ (error);
  return { code, message, retry, retry_after, details };
}

/** @param {Envelope<any>} one @param {Envelope<any>} other */
export function isSame(one, other) {
  const content = (/** @type {Envelope<any>} */ { type, payload, meta }) => JSON.stringify([type, payload, meta.target_id]);
  return content(one) === content(other);
}
