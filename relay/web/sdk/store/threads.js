/**
 * The threads of one conversation: how each stands, as the server said with a page, kept right by the events that follow.
 *
 * A page says how the threads of its messages stand (`take`). Replies that come later count on; one that is deleted
 * counts off. Where a resume left a gap, nothing is certain any more, and the next page says it again.
 */

/** @import { Envelope } from "../types.js" */
/** @import { Message } from "./message.js" */

/**
 * A thread as it stands.
 *
 * @typedef {object} ThreadView
 * @property {number} rootId the message that its replies answer
 * @property {number} replies
 * @property {number} lastSeq of its newest reply; 0 where none is left
 * @property {number} lastId
 * @property {number} lastAt Unix seconds
 * @property {readonly string[]} repliers who replied last, the newest first; three at most
 * @property {boolean} follows whether the user takes part in it
 * @property {number} readSeq the seq up to which the user has read it
 * @property {number} unread
 * @property {number} mentions unread replies that mention the user, or everybody
 */

/**
 * @typedef {object} ThreadRow a thread as the server tells of it
 * @property {number} thread
 * @property {number} replies
 * @property {number} last_seq
 * @property {number} last_id
 * @property {number} last_at
 * @property {string[]} repliers
 * @property {boolean} follows
 * @property {number} read_seq
 * @property {number} unread
 * @property {number} mentions
 */

/**
 * @typedef {object} ThreadsOwner a Conversation
 * @property {string} userId
 * @property {ReadonlyMap<number, Message>} messages by seq
 * @property {(messageId: number) => Message | undefined} byId
 */

export const THREAD_READ = "thread_read";
export const THREAD_FOLLOW = "thread_follow";
const FACES = 3;

/**
 * Tell whether a message is shown in its thread only.
 *
 * @param {Readonly<Record<string, any>>} payload
 */
export function isApart({ thread, thread_shown: shown }) {
  return thread !== undefined && thread !== null && !shown;
}

export class Threads {
  /** @type {Map<number, ThreadView>} by root */
  #known = new Map();
  /** The seqs of the replies held, by root. @type {Map<number, Set<number>>} */
  #held = new Map();
  /** How far the user has read, and whether they follow: the newest value of each, by type and root. @type {Map<string, Envelope<any>>} */
  #said = new Map();
  /** The threads that are being read, and whether all older replies are held; undefined until a page is loaded. @type {Map<number, boolean | undefined>} */
  open = new Map();
  #owner;
  #changed;

  /**
   * @param {ThreadsOwner} owner
   * @param {(rootId: number) => void} changed
   */
  constructor(owner, changed) {
    this.#owner = owner;
    this.#changed = changed;
  }

  /** How a thread stands; null where it has no reply, or the server has not told of it. @param {number} rootId */
  of(rootId) {
    const known = this.#known.get(rootId);
    return known && known.replies > 0 ? known : null;
  }

  /** Return a thread as the server would tell of it now; null where it has no reply. @param {number} rootId @returns {ThreadRow | null} */
  row(rootId) {
    const view = this.of(rootId);
    if (!view) return null;
    return {
      thread: rootId, replies: view.replies, last_seq: view.lastSeq, last_id: view.lastId, last_at: view.lastAt, repliers: [...view.repliers],
      follows: view.follows, read_seq: view.readSeq, unread: view.unread, mentions: view.mentions,
    };
  }

  /** Whether any is known. */
  get some() {
    return this.#known.size > 0;
  }

  /** Every thread that is known. */
  get all() {
    return [...this.#known.values()];
  }

  /** The seqs of the replies held, in order. @param {number} rootId */
  seqsOf(rootId) {
    return [...(this.#held.get(rootId) ?? [])].sort((a, b) => a - b);
  }

  /**
   * Tell whether a message belongs to a thread that is being read: it stays then.
   *
   * @param {Message} message
   */
  isOpen({ messageId, payload }) {
    return this.open.has(payload.thread ?? messageId);
  }

  /** Take what the server says. Replies that came after it count as well. @param {ThreadRow} row */
  take(row) {
    const rootId = row.thread;
    const known = this.#known.get(rootId);
    /** @type {ThreadView} */
    let view = {
      rootId, replies: row.replies, lastSeq: row.last_seq, lastId: row.last_id, lastAt: row.last_at, repliers: row.repliers,
      follows: row.follows, readSeq: row.read_seq, unread: row.unread, mentions: row.mentions,
    };
    for (const seq of this.seqsOf(rootId)) {
      const message = this.#owner.messages.get(seq);
      if (message && seq > row.last_seq) view = this.#counted(view, message);
    }
    const follow = this.#said.get(`${THREAD_FOLLOW} ${rootId}`);
    if (known && follow && idOf(follow) > view.lastId) view = { ...view, follows: follow.payload.on };
    this.#set(rootId, read(view, Math.max(known?.readSeq ?? 0, this.#said.get(`${THREAD_READ} ${rootId}`)?.payload.up_to_seq ?? 0)));
  }

  /** Take a value of the user's own: how far a thread is read, or whether they follow it. @param {Envelope<any>} envelope */
  value(envelope) {
    const { type, payload } = envelope;
    const name = `${type} ${payload.thread}`;
    const before = this.#said.get(name);
    if (before && idOf(before) >= idOf(envelope)) return;
    this.#said.set(name, envelope);
    const known = this.#known.get(payload.thread);
    if (type === THREAD_READ) this.read(payload.thread, payload.up_to_seq);
    else if (known && known.follows !== payload.on) this.#set(payload.thread, { ...known, follows: payload.on });
  }

  /**
   * Move the read pointer of a thread forward.
   *
   * @param {number} rootId
   * @param {number} seq
   */
  read(rootId, seq) {
    const known = this.#known.get(rootId);
    if (known && seq > known.readSeq) this.#set(rootId, read(known, seq));
  }

  /** Say at once whether the user follows a thread. @param {number} rootId @param {boolean} on */
  follow(rootId, on) {
    const known = this.#known.get(rootId);
    if (known && known.follows !== on) this.#set(rootId, { ...known, follows: on });
  }

  /** Let what this device says of a thread count at once. @param {string} type @param {any} payload */
  sent(type, payload) {
    if (type === THREAD_READ) this.read(payload.thread, payload.up_to_seq);
    if (type === THREAD_FOLLOW) this.follow(payload.thread, payload.on);
  }

  /**
   * Note another version of a message, or a new one.
   *
   * @param {Message | undefined} before
   * @param {Message} message
   */
  kept(before, message) {
    const rootId = message.payload.thread ?? before?.payload.thread;
    if (typeof rootId !== "number") return;
    const seqs = this.#held.get(rootId) ?? new Set();
    const known = this.#known.get(rootId);
    if (message.deletedAt !== undefined) {
      if (!seqs.delete(message.seq)) return;
      if (known) this.#set(rootId, this.#without(known, message));
      return;
    }
    if (seqs.has(message.seq)) return this.#changed(rootId);
    this.#held.set(rootId, seqs.add(message.seq));
    if (message.seq > (known?.lastSeq ?? 0)) this.#set(rootId, this.#counted(known ?? begun(rootId), message));
    else this.#changed(rootId);
  }

  /** Forget a message that is no longer held. @param {Message} message */
  dropped({ seq, payload }) {
    const seqs = this.#held.get(payload.thread);
    if (seqs?.delete(seq) && seqs.size === 0) this.#held.delete(payload.thread);
  }

  /** Forget how the threads stand: replies were missed. What is held counts anew, until the server tells. */
  missed() {
    const held = [...this.#held.values()].flatMap((seqs) => [...seqs]).sort((a, b) => a - b);
    const rootIds = [...this.#known.keys()];
    this.#known.clear();
    for (const rootId of this.open.keys()) this.open.set(rootId, undefined);
    for (const seq of held) {
      const message = this.#owner.messages.get(seq);
      if (message) this.#known.set(message.payload.thread, this.#counted(this.#known.get(message.payload.thread) ?? begun(message.payload.thread), message));
    }
    for (const rootId of rootIds) this.#changed(rootId);
  }

  /** Return a thread with one reply more. @param {ThreadView} view @param {Message} reply @returns {ThreadView} */
  #counted(view, { seq, messageId, senderId, timestamp, payload }) {
    const mine = senderId === this.#owner.userId;
    const repliers = [senderId, ...view.repliers.filter((one) => one !== senderId)].slice(0, FACES);
    const next = { ...view, replies: view.replies + 1, lastSeq: seq, lastId: messageId, lastAt: timestamp, repliers };
    if (mine) return { ...read(next, seq), follows: true };
    const named = Array.isArray(payload.mentions) && payload.mentions.includes(this.#owner.userId);
    const calls = named || (Array.isArray(payload.mentions) && payload.mentions.includes("*"));
    const isNew = seq > view.readSeq;
    const off = this.#said.get(`${THREAD_FOLLOW} ${view.rootId}`)?.payload.on === false;
    const begins = this.#owner.byId(view.rootId)?.senderId === this.#owner.userId;
    return {
      ...next,
      unread: view.unread + (isNew ? 1 : 0),
      mentions: view.mentions + (isNew && calls ? 1 : 0),
      follows: view.follows || (!off && (named || begins)),
    };
  }

  /** Return a thread with one reply less. @param {ThreadView} view @param {Message} reply @returns {ThreadView} */
  #without(view, { seq, senderId }) {
    const wasNew = seq > view.readSeq && senderId !== this.#owner.userId;
    const unread = Math.max(0, view.unread - (wasNew ? 1 : 0));
    return { ...view, replies: Math.max(0, view.replies - 1), unread, mentions: Math.min(view.mentions, unread) };
  }

  /** @param {number} rootId @param {ThreadView} view */
  #set(rootId, view) {
    this.#known.set(rootId, Object.freeze(view));
    this.#changed(rootId);
  }
}

/** @param {number} rootId @returns {ThreadView} */
function begun(rootId) {
  return { rootId, replies: 0, lastSeq: 0, lastId: 0, lastAt: 0, repliers: [], follows: false, readSeq: 0, unread: 0, mentions: 0 };
}

/**
 * Return a thread that is read up to a seq. One between its replies leaves the count as it is: it never happens to who reads
 * to the end.
 *
 * @param {ThreadView} view
 * @param {number} seq
 * @returns {ThreadView}
 */
function read(view, seq) {
  if (seq <= view.readSeq) return view;
  const rest = seq >= view.lastSeq ? { unread: 0, mentions: 0 } : {};
  return { ...view, ...rest, readSeq: seq };
}

/** Return the place of a value among all messages: the last for one that is not stored yet. @param {Envelope<any>} envelope */
function idOf({ meta }) {
  return meta.message_id ?? Number.MAX_SAFE_INTEGER;
}
