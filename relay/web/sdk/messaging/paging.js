/** Iteration over all pages of a list. Loaded on demand; imports nothing, for the reason that attachments.js gives. */

/**
 * @import * as Types from "../types.js"
 * @import { RestApiClient } from "../rest-api-client.js"
 * @import { SocketManager } from "../socket-manager.js"
 */

/**
 * @typedef {object} Page
 * @property {Types.Envelope<any>[]} messages oldest first
 * @property {Types.Envelope<any>[]} latest the reactions to them, and with the newest page how far everybody has read
 * @property {boolean} hasMore whether more follow in the page's direction
 * @property {number | null} nextBefore the `before` of the next page of older ones
 * @property {number | null} nextAfter the `after` of the next page of newer ones
 */

/**
 * @typedef {object} Searcher a MessagingAPI
 * @property {(query: string, options: Types.SearchQuery & { signal?: AbortSignal }) => Promise<SearchPage>} searchMessages
 * @typedef {{ results: Types.SearchAnswer["results"], hasMore: boolean, nextCursor: string | number | null }} SearchPage
 */

/** The most that one page may have: MAX_PAGE of protocol.js. */
const LIMIT = 200;

/** @param {Types.HistoryAnswer} answer @returns {Page} */
export function pageOf({ messages, latest, has_more: hasMore, next_before: nextBefore, next_after: nextAfter }) {
  return { messages, latest, hasMore, nextBefore, nextAfter };
}

/**
 * Iterate over the messages of a conversation: newest first, or from `after` on oldest first.
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
    const page = await fetch({ limit: LIMIT, ...filters, ...position });
    yield* forwards ? page.messages : page.messages.toReversed();
    const next = forwards ? page.nextAfter : page.nextBefore;
    if (!page.hasMore || next === null) return;
    position = forwards ? { after: next } : { before: next };
  }
}

/**
 * Iterate over the elements of a list.
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
    const answer = await rest.getConversations({ cursor, limit: LIMIT }, options);
    return { elements: answer.conversations, hasMore: answer.has_more, nextCursor: answer.next_cursor };
  });
  const all = [];
  for await (const row of rows) all.push(row);
  return all;
}

/**
 * Iterate over all results of a search.
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
 * Return a page of what a search finds.
 *
 * @param {RestApiClient} rest
 * @param {string} query
 * @param {Types.SearchQuery & { signal?: AbortSignal }} [options]
 * @returns {Promise<SearchPage>}
 */
export async function searched(rest, query, { signal, ...options } = {}) {
  const { results, has_more: hasMore, next_cursor: nextCursor } = await rest.search(query, options, { signal });
  return { results, hasMore, nextCursor };
}

/**
 * Fetch the messages that no device has had, and acknowledge them.
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
    const page = await rest.getUndelivered({ cursor, limit: LIMIT }, options);
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
    return false; // the fetched messages are returned all the same
  }
}
