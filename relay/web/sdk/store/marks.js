/**
 * A user's own marks of conversations (pinned, archived, unread again) and of messages (saved). Of each mark the newest value
 * counts; one that is on its way to the server counts as stored already.
 */

/** @import { Envelope } from "../types.js" */
/** @import { LatestView } from "./latest.js" */

/** The type of the messages that set a mark; only the user's own devices are sent them. */
export const MARK = "conversation_mark";
/** The type of the messages that save a message, or save it no longer. */
export const SAVED = "saved_message";

/** @typedef {"pinned" | "archived" | "unread"} MarkName */
/** @typedef {{ mark: MarkName, on: boolean, up_to_seq?: number, from_seq?: number }} Mark */

/**
 * @typedef {object} MarksView
 * @property {number} pinned its place among the pinned conversations, which rises with each that is pinned; 0 for one that is not
 * @property {boolean} archived until somebody says something in it
 * @property {number | null} archivedUpTo the seq up to which it was archived, also when that is over
 * @property {boolean} markedUnread whether this user marked it as unread, and has read nothing newer since
 * @property {number | null} unreadFrom the seq of the first message that this user marked as unread
 */

/** @typedef {{ envelope: Envelope<any> }} Waiting a message of this device that is on its way */

/**
 * @typedef {object} Marked a Conversation, as much of it as its marks are about
 * @property {Marks} marks
 * @property {ReadonlyMap<number, { seq: number, type: string }>} messages
 * @property {{ readSeq: number, count: { messages: number } }} unread
 * @property {ReadonlySet<string>} counted the types that make it unread
 * @property {number} lastSeq
 */

/** The marks of one conversation, as they are stored. */
export class Marks {
  /** @type {Map<MarkName, Envelope<any>>} */
  #stored = new Map();

  /** The newest value of each, as the server sent it. */
  get envelopes() {
    return [...this.#stored.values()];
  }

  /** Take a mark; tells whether it is new. @param {Envelope<any>} envelope */
  take(envelope) {
    const known = this.#stored.get(envelope.payload.mark);
    if (known && idOf(known) >= idOf(envelope)) return false;
    this.#stored.set(envelope.payload.mark, envelope);
    return true;
  }

  /** @param {MarkName} name */
  of(name) {
    return this.#stored.get(name);
  }
}

/**
 * Return what the marks of a conversation amount to.
 *
 * @param {Marked} conversation
 * @param {Iterable<Waiting>} [waiting] changes that are on their way
 * @returns {MarksView}
 */
export function marksOf({ marks, messages, unread, counted, lastSeq }, waiting = []) {
  const set = [...waiting].filter(({ envelope }) => envelope.type === MARK).map(({ envelope }) => envelope);
  /** @param {MarkName} name */
  const newest = (name) => {
    const envelope = set.findLast(({ payload }) => payload.mark === name) ?? marks.of(name);
    return envelope?.payload.on ? envelope : null;
  };
  const [pinned, again] = [newest("pinned"), newest("unread")];
  const archivedUpTo = newest("archived")?.payload.up_to_seq ?? null;
  const markedUnread = again !== null && unread.readSeq <= again.payload.up_to_seq;
  return {
    pinned: pinned ? idOf(pinned) : 0,
    archived: archivedUpTo !== null && !isSaidAfter(archivedUpTo),
    archivedUpTo,
    markedUnread,
    unreadFrom: markedUnread ? (again.payload.from_seq ?? null) : null,
  };

  /** Tell whether something was said, by this user as well, that counts as a message. @param {number} upTo */
  function isSaidAfter(upTo) {
    if (unread.readSeq > upTo && unread.count.messages > 0) return true; // it may not be held
    return lastSeq > upTo && [...messages.values()].some(({ seq, type }) => seq > upTo && counted.has(type));
  }
}

/**
 * Tell whether a message is saved.
 *
 * @param {readonly LatestView[]} latest the values about it
 * @param {Waiting[]} waiting its changes that are on their way
 */
export function isSaved(latest, waiting) {
  const sent = waiting.findLast(({ envelope }) => envelope.type === SAVED);
  return Boolean((sent?.envelope ?? latest.findLast(({ type, mine }) => type === SAVED && mine))?.payload.on);
}

/** Return the place of a mark among all messages: the last for one that is not stored yet. @param {Envelope<any>} envelope */
function idOf({ meta }) {
  return meta.message_id ?? Number.MAX_SAFE_INTEGER;
}
