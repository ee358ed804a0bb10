/** Gaps in a conversation's seqs: a live message that is not the next one shows that some were missed. */

/** @import { Envelope, ConversationKind } from "./types.js" */

/** @typedef {{kind: ConversationKind, target_id: string, from_seq: number, to_seq: number}} Gap */

const MAX_CONVERSATIONS = 10_000;

/** Finds gaps, by the highest seq of each conversation. */
export class GapDetector {
  /** @type {Map<string, {kind: ConversationKind, highest: number}>} */
  #known = new Map();

  clear() {
    this.#known.clear();
  }

  /**
   * Note a message, and return the gap before it, or null. A replayed message shows none: a replay comes by priority, and
   * `synced` tells what it left out.
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
    if (this.#known.size > MAX_CONVERSATIONS) this.#known.delete(/** @type {string} */ (this.#known.keys().next().value));
    return !replay && seq > highest + 1 ? { kind, target_id: other, from_seq: highest + 1, to_seq: seq - 1 } : null;
  }
}

/**
 * @param {string} type
 * @param {boolean} own whether its target is the user
 * @param {string} target
 * @returns {ConversationKind | undefined}
 */
function kindOf(type, own, target) {
  if (target === "*") return "broadcast";
  if (type === "group_message" || type === "group_event") return "group";
  return own || type === "chat_message" ? "user" : undefined; // an own edit, say, tells its target's name and not its kind
}
