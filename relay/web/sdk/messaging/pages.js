/** Pages of what the server has, and walking through all of them. */

/** @import * as Types from "../types.js" */

/**
 * @typedef {object} Page
 * @property {Types.Envelope<any>[]} messages oldest first
 * @property {Types.Envelope<any>[]} latest the reactions to them, and with the newest page how far everybody has read
 * @property {boolean} hasMore whether there are more in the page's direction
 * @property {number | null} nextBefore goes on to older ones, as `before`
 * @property {number | null} nextAfter goes on to newer ones, as `after`
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
export async function* elementsOf(fetch) {
  /** @type {Cursor | undefined} */
  let cursor;
  for (;;) {
    const page = await fetch(cursor);
    yield* page.elements;
    if (!page.hasMore || page.nextCursor === null) return;
    cursor = page.nextCursor;
  }
}
