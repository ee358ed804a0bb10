/** Messages as the store holds them, and which of two versions of a message counts. */

/** @import { Envelope } from "../types.js" */

/**
 * A message in its present version. The object never changes: another version is another object. A tombstone's payload is
 * empty.
 *
 * @typedef {object} Message
 * @property {number} messageId
 * @property {number} seq
 * @property {string} type
 * @property {string} senderId
 * @property {Readonly<Record<string, any>>} payload
 * @property {number} timestamp
 * @property {string} [id]
 * @property {string} [targetId]
 * @property {string} [clientId]
 * @property {number} [editedAt]
 * @property {number} [editId] the message id of the edit that gave it its content
 * @property {number} [deletedAt]
 * @property {boolean} [removed] whether somebody else than its author deleted it
 * @property {number} [expiresAt]
 */

/** @param {Envelope<any>} envelope @returns {Message} */
export function read({ type, payload, meta }) {
  return {
    messageId: /** @type {number} */ (meta.message_id),
    seq: /** @type {number} */ (meta.seq),
    type,
    senderId: meta.sender_id ?? "",
    payload,
    timestamp: meta.timestamp ?? 0,
    id: meta.id,
    targetId: meta.target_id,
    clientId: meta.client_id,
    editedAt: meta.edited_at,
    editId: meta.edit_id,
    deletedAt: meta.deleted_at,
    removed: meta.removed,
    expiresAt: meta.expires_at,
  };
}

/**
 * Tell whether the known version stays. It does if both are equal, so that views do not change without need. Of its
 * edits the one with the highest id counts: times do not tell which is newer, as the server's clock may step.
 *
 * @param {Message} known
 * @param {Message} other
 */
export function wins(known, other) {
  if (known.deletedAt !== undefined || other.deletedAt !== undefined) return known.deletedAt !== undefined;
  const difference = (known.editId ?? 0) - (other.editId ?? 0);
  return difference > 0 || (difference === 0 && isEqual(known.payload, other.payload));
}

/** @param {object} one @param {object} other */
export function isEqual(one, other) {
  return JSON.stringify(one) === JSON.stringify(other);
}
