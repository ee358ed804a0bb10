/** Gap filling: fetches missed messages by REST. Loaded when there is a gap. */

import { MAX_PAGE } from "./protocol.js";

/** @import { Gap } from "./gaps.js" */
/** @import { RestApiClient } from "./rest-api-client.js" */
/** @import { Envelope } from "./types.js" */

/**
 * Fetch the messages of a gap, oldest first.
 *
 * @param {RestApiClient} rest
 * @param {Gap} gap
 * @returns {Promise<Envelope<any>[]>}
 */
export async function fetchGap(rest, gap) {
  if (gap.kind === "self" || gap.kind === "broadcast") return fetchNotifications(rest, gap);
  /** @type {Envelope<any>[]} */
  const found = [];
  for (let after = gap.from_seq - 1; after < gap.to_seq; ) {
    const limit = Math.min(MAX_PAGE, gap.to_seq - after);
    const read = gap.kind === "user" ? rest.getUserMessages : rest.getGroupMessages;
    const page = await read.call(rest, gap.target_id, { after, limit });
    found.push(...page.messages);
    const next = page.messages.at(-1)?.meta.seq;
    if (next === undefined || next <= after) break;
    after = next;
  }
  return within(found, gap);
}

/**
 * Fetch the notifications of a gap. REST pages them by message id, from the newest on, and both channels together: so
 * pages are read back until the gap's first seq is reached, ten at most.
 *
 * @param {RestApiClient} rest
 * @param {Gap} gap
 */
async function fetchNotifications(rest, gap) {
  /** @type {Envelope<any>[]} */
  let found = [];
  /** @type {number | undefined} */
  let before;
  for (let pages = 0; pages < 10; pages += 1) {
    const page = await rest.getNotifications({ limit: MAX_PAGE, ...(before === undefined ? {} : { before }) });
    const here = page.messages.filter(({ meta }) => (meta.target_id === "*") === (gap.kind === "broadcast"));
    found = [...here, ...found];
    const oldest = here[0]?.meta.seq;
    if (!page.has_more || page.next_before === null || (oldest !== undefined && oldest <= gap.from_seq)) break;
    before = page.next_before;
  }
  return within(found, gap);
}

/**
 * @param {Envelope<any>[]} found
 * @param {Gap} gap
 */
function within(found, gap) {
  return found.filter(({ meta }) => (meta.seq ?? 0) >= gap.from_seq && (meta.seq ?? 0) <= gap.to_seq);
}
