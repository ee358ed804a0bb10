/** The files of a conversation, as the server lists them: page by page, the newest first. */

/** @import { FileView, RestApiClient } from "../../sdk/index.js" */
/** @import { Item } from "./lightbox.js" */

/** @typedef {Item & { seq: number }} Found */

/**
 * Return a page of a conversation's files.
 *
 * @param {RestApiClient} rest
 * @param {string} id the conversation
 * @param {{ kind?: "pictures" | "media" | "files", before?: number, limit: number }} query `before` a message id, as an answer gave it
 * @returns {Promise<{ found: Found[], before: number | null }>} `before` null at the end
 */
export async function listFiles(rest, id, query) {
  const page = await rest.request("GET", "/api/attachments", { query: { target_id: id, ...query } });
  return { found: page.files.map(foundOf), before: page.next_before };
}

/** @param {Record<string, any>} row @returns {Found} */
function foundOf({ attachment_id, name, type, size, width = null, height = null, sender_id, timestamp, seq, message_id }) {
  /** @type {FileView} */
  const file = Object.freeze({ attachmentId: attachment_id, name, type, size, width, height, blob: null, progress: null, described: true });
  return { file, senderId: sender_id, timestamp, seq, messageId: message_id };
}
