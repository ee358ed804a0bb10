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
 * Return the user's marks of conversations; none of a server that has no marks.
 *
 * @param {RestApiClient} rest
 * @param {AbortSignal} signal
 * @returns {Promise<import("../types.js").Envelope<any>[] | null>}
 */
export async function fetchMarks(rest, signal) {
  try {
    return (await rest.request("GET", "/api/marks", { signal })).marks;
  } catch (error) {
    if (/** @type {any} */ (error).code !== "not_found") throw error;
    return null;
  }
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

/**
 * Return the texts so far of a conversation's streams, as pieces; none where they cannot be fetched: the next piece asks again.
 *
 * @param {RestApiClient} rest
 * @param {string} key
 * @param {string} userId the user's own
 * @returns {Promise<import("../types.js").Envelope<any>[]>}
 */
async function fetchStreams(rest, key, userId) {
  const { streams } = await rest.request("GET", `/api/streams/${encodeURIComponent(key)}`).catch(() => ({ streams: [] }));
  return streams.map((/** @type {any} */ { stream_id, sender_id, type, text, begun_at: timestamp, reply_to }) => {
    const target_id = type === "group_message" || sender_id === userId ? key : userId;
    return { type: "message_stream", payload: { stream_id, text, reply_to }, meta: { sender_id, target_id, timestamp } };
  });
}

/**
 * Return a function that fetches the texts so far of a conversation's streams into the state, once at a time.
 *
 * @param {RestApiClient} rest
 * @param {() => import("./state.js").State} current
 * @returns {(key: string) => Promise<void>}
 */
export function textsSoFar(rest, current) {
  /** @type {Set<string>} */
  const fetching = new Set();
  return async (key) => {
    if (fetching.has(key)) return;
    fetching.add(key);
    const state = current();
    const pieces = await fetchStreams(rest, key, state.userId);
    fetching.delete(key);
    if (state === current()) for (const piece of pieces) state.piece(piece);
  };
}
