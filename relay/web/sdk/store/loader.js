/** The store's REST calls: pages of conversations, the list of conversations, notifications. */

import { MAX_PAGE } from "../protocol.js";
import { EVERYBODY, SELF } from "./mirror.js";

/**
 * @import { RestApiClient } from "../rest-api-client.js"
 * @import { ConversationRow, HistoryAnswer, Pagination } from "../types.js"
 */

/**
 * Return one page of a conversation.
 *
 * @param {RestApiClient} rest
 * @param {string} key
 * @param {import("../types.js").ConversationKind | null} kind
 * @param {Pagination} pagination
 * @returns {Promise<HistoryAnswer>}
 */
export function fetchPage(rest, key, kind, pagination) {
  return kind === "group" ? rest.getGroupMessages(key, pagination) : rest.getUserMessages(key, pagination);
}

/**
 * Return all rows of the list of conversations, page by page.
 *
 * @param {RestApiClient} rest
 * @param {AbortSignal} signal
 */
export async function fetchRows(rest, signal) {
  /** @type {ConversationRow[]} */
  const rows = [];
  /** @type {number | null} */
  let cursor = null;
  do {
    const answer = await rest.getConversations({ cursor, limit: MAX_PAGE }, { signal });
    rows.push(...answer.conversations);
    cursor = answer.has_more ? answer.next_cursor : null;
  } while (cursor !== null);
  return rows;
}

/**
 * Return the newest notifications, and the read pointers of both channels: the user's own and everybody's.
 *
 * @param {RestApiClient} rest
 * @param {string} userId
 * @param {AbortSignal} signal
 */
export async function fetchNotifications(rest, userId, signal) {
  const page = await rest.getNotifications({ limit: 100 }, { signal });
  const pointers = new Map();
  for (const [key, body] of /** @type {const} */ ([[SELF, { target_id: userId, kind: "self" }], [EVERYBODY, { target_id: EVERYBODY }]])) {
    if (!page.messages.some(({ meta }) => (meta.target_id === EVERYBODY) === (key === EVERYBODY))) continue;
    // REST tells a pointer only when it is set. Setting it to 0 never moves it, and stores nothing.
    const { read } = await rest.markRead({ ...body, up_to_seq: 0, private: true }, { signal });
    pointers.set(key, read[0]);
  }
  return { page, pointers };
}
