/** Walking through all of what the server has, page by page; loaded when somebody does. Imports nothing, as attachments.js. */

/**
 * @import * as Types from "../types.js"
 * @import { RestApiClient } from "../rest-api-client.js"
 * @import { SocketManager } from "../socket-manager.js"
 */

/**
 * @typedef {object} Page
 * @property {Types.Envelope<any>[]} messages oldest first
 * @property {Types.Envelope<any>[]} latest the reactions to them, and with the newest page how far everybody has read
 * @property {boolean} hasMore whether there are more in the page's direction
 * @property {number | null} nextBefore goes on to older ones, as `before`
 * @property {number | null} nextAfter goes on to newer ones, as `after`
 */

/**
 * @typedef {object} Searcher a MessagingAPI
 * @property {(query: string, options: Types.SearchQuery & { signal?: AbortSignal }) => Promise<SearchPage>} searchMessages
 * @typedef {{ results: Types.SearchAnswer["results"], hasMore: boolean, nextCursor: string | number | null }} SearchPage
 */

/** @param {Types.HistoryAnswer} answer @returns {Page} */
export function pageOf({ messages, latest, has_more: hasMore, next_before: nextBefore, next_after: nextAfter }) {
  return { messages, latest, hasMore, nextBefore, nextAfter };
}

/**
 * Give the messages of a conversation one by one: newest first, or from `after` on oldest first.
 *
 * @param {(pagination: Types.Pagination) => Promise<Page>} fetch
 * @param {Types.Pagination & { oldestFirst?: boolean }} options
 * @returns {AsyncGenerator<Types.Envelope<any>, void, undefined>}
 */
export async function* messagesOf(fetch, { oldestFirst, ...pagination }) {
  const forwards = oldestFirst ?? pagination.after !== undefined;
  let position = forwards ? { after: pagination.after ?? 0 } : { before: pagination.before };
  const { before, after, around, ...filters } = pagination;
  for (;;) {
    const page = await fetch({ limit: 200, ...filters, ...position });
    yield* forwards ? page.messages : page.messages.toReversed();
    const next = forwards ? page.nextAfter : page.nextBefore;
    if (!page.hasMore || next === null) return;
    position = forwards ? { after: next } : { before: next };
  }
}

/**
 * Give the elements of a list one by one.
 *
 * @template Element, Cursor
 * @param {(cursor: Cursor | undefined) => Promise<{ elements: Element[], hasMore: boolean, nextCursor: Cursor | null }>} fetch
 */
async function* elementsOf(fetch) {
  /** @type {Cursor | undefined} */
  let cursor;
  for (;;) {
    const page = await fetch(cursor);
    yield* page.elements;
    if (!page.hasMore || page.nextCursor === null) return;
    cursor = page.nextCursor;
  }
}

/**
 * Return all conversations.
 *
 * @param {RestApiClient} rest
 * @param {{ signal?: AbortSignal }} [options]
 * @returns {Promise<Types.ConversationRow[]>}
 */
export async function conversationsOf(rest, options) {
  const rows = elementsOf(async (/** @type {number | undefined} */ cursor) => {
    const answer = await rest.getConversations({ cursor, limit: 200 }, options);
    return { elements: answer.conversations, hasMore: answer.has_more, nextCursor: answer.next_cursor };
  });
  const all = [];
  for await (const row of rows) all.push(row);
  return all;
}

/**
 * Give all results of a search one by one.
 *
 * @param {Searcher} messaging
 * @param {string} query
 * @param {Types.SearchQuery & { signal?: AbortSignal }} options
 */
export function resultsOf(messaging, query, options) {
  return elementsOf(async (/** @type {string | number | undefined} */ cursor) => {
    const page = await messaging.searchMessages(query, { ...options, cursor: cursor ?? options.cursor });
    return { elements: page.results, hasMore: page.hasMore, nextCursor: page.nextCursor };
  });
}

/**
 * Fetch what no device has had yet, and acknowledge it.
 *
 * @param {SocketManager} socket
 * @param {RestApiClient} rest
 * @param {{ signal?: AbortSignal }} [options]
 */
export async function synchronize(socket, rest, options) {
  /** @type {Types.Envelope<any>[]} */
  const messages = [];
  /** @type {number | null} */
  let cursor = null;
  for (let more = true; more; ) {
    const page = await rest.getUndelivered({ cursor, limit: 200 }, options);
    messages.push(...page.messages);
    more = page.has_more && page.cursor !== cursor;
    cursor = page.cursor;
  }
  return { messages, cursor, acknowledged: cursor !== null && (await acknowledge(socket, rest, cursor, options)) };
}

/** @param {SocketManager} socket @param {RestApiClient} rest @param {number} cursor @param {{ signal?: AbortSignal }} [options] */
async function acknowledge(socket, rest, cursor, options) {
  try {
    if (socket.connectionState === "connected") await socket.sendMessage("connection_event", { event: "ack", cursor });
    else await rest.acknowledge({ cursor }, options);
    return true;
  } catch (error) {
    options?.signal?.throwIfAborted();
    socket.report(error);
    return false; // what was fetched must not be lost for it
  }
}
