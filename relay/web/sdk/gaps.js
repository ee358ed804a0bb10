/** Holes in a conversation's numbering: noticed, and filled by REST. */

/** @import { Envelope, ConversationKind } from "./types.js" */
/** @import { RestApiClient } from "./rest-api-client.js" */

/** @typedef {{kind: ConversationKind, target_id: string, from_seq: number, to_seq: number}} Gap */

const PAGE = 200;
const MOST_CONVERSATIONS = 10_000;

/** The highest number of each conversation, to see whether a live message is the next one. */
export class Sequences {
  /** @type {Map<string, {kind: ConversationKind, highest: number}>} */
  #known = new Map();

  clear() {
    this.#known.clear();
  }

  /**
   * Take note of a message, and return the gap that it leaves, or null. A replay leaves none: it comes by priority,
   * and says itself what it left out.
   *
   * @param {Envelope<any>} envelope
   * @param {string | null} userId
   * @returns {Gap | null}
   */
  note({ type, payload, meta }, userId) {
    const { seq, sender_id, target_id, replay } = meta;
    if (seq === undefined || target_id === undefined) return null;
    const own = target_id === userId;
    const self = own && (type === "notification" || payload.kind === "self");
    const other = own && !self ? (sender_id ?? target_id) : target_id;
    const key = self ? "" : other;
    const known = this.#known.get(key);
    const kind = self ? "self" : (known?.kind ?? kindOf(type, own, target_id));
    if (!kind) return null;
    const highest = known?.highest ?? seq;
    this.#known.set(key, { kind, highest: Math.max(highest, seq) });
    if (this.#known.size > MOST_CONVERSATIONS) this.#known.delete(/** @type {string} */ (this.#known.keys().next().value));
    return !replay && seq > highest + 1 ? { kind, target_id: other, from_seq: highest + 1, to_seq: seq - 1 } : null;
  }
}

/**
 * @param {string} type
 * @param {boolean} own whether it came to oneself
 * @param {string} target
 * @returns {ConversationKind | undefined}
 */
function kindOf(type, own, target) {
  if (target === "*") return "broadcast";
  if (type === "group_message" || type === "group_event") return "group";
  return own || type === "chat_message" ? "user" : undefined; // an edit of one's own says of a target no more than its name
}

/**
 * Fetch what a gap left out, oldest first.
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
    const limit = Math.min(PAGE, gap.to_seq - after);
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
 * Notifications are paged by message id, newest first, and both channels together.
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
    const page = await rest.getNotifications({ limit: PAGE, ...(before === undefined ? {} : { before }) });
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
