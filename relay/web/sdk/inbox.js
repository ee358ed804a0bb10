/**
 * Messages from the server on their way to the handlers, and the cursor, which follows what they have processed.
 *
 * Contract:
 *     Each stored message is handed over once, by its message id: over reconnects, and with a storage over restarts.
 *     Live messages, acks and `synced` move the cursor, and only when everything before them is processed.
 *     MUST NOT block: a handler that returns a promise holds back the cursor and nothing else.
 */

/** @import { Envelope } from "./types.js" */

/** @typedef {{id?: number, position?: number, done: boolean}} Entry */
/** @typedef {(envelope: Envelope<any>, context: {replay: boolean}) => Promise<unknown> | undefined} Hand calls the handlers */

const MAX_SEEN = 65_536;

export class Inbox {
  /** @type {number | null} the position up to which everything is processed */
  cursor = null;
  /** @type {number | null} the position up to which everything was handed over */
  reached = null;
  /** Whether everything is dropped, until a replay brings it again. */
  suspended = false;
  /** @type {Set<number>} ids processed ahead of the cursor: a replay comes by priority, not in their order */
  taken = new Set();
  /** @type {Set<number>} */
  #seen = new Set();
  /** @type {Entry[]} */
  #pending = [];
  #hand;
  #onMoved;

  /**
   * @param {Hand} hand calls the handlers; the promise is theirs
   * @param {() => void} onMoved
   */
  constructor(hand, onMoved) {
    this.#hand = hand;
    this.#onMoved = onMoved;
  }

  /**
   * Begin where an earlier page or process stopped.
   *
   * @param {number | null} cursor
   * @param {number[]} [taken]
   */
  restore(cursor, taken = []) {
    this.cursor = this.reached = cursor;
    this.taken = new Set(taken);
    for (const id of taken) this.#remember(id);
  }

  /** Forget all positions: the server has another log now, and its numbers mean other messages. */
  restart() {
    this.cursor = this.reached = null;
    this.taken.clear();
    this.#seen.clear();
    this.#pending = [];
    this.#onMoved();
  }

  /** Drop everything from here on, as something was missed. Before the first message nothing can be missed. */
  suspend() {
    this.suspended ||= this.reached !== null;
  }

  /** A replay brings again what was dropped. */
  resume() {
    this.suspended = false;
  }

  /**
   * Hand an envelope to the handlers, unless they had it before.
   *
   * @param {Envelope<any>} envelope
   * @param {{position?: number, after?: Promise<unknown>, filled?: boolean}} [more] position: the cursor once this and
   *   everything before it is processed; after: work to wait for besides; filled: whether it fills a gap
   */
  offer(envelope, { position, after, filled = false } = {}) {
    if (this.suspended) return;
    const { message_id: id, seq } = envelope.meta;
    // Only messages with a seq: a hello brings the present statuses, however old they are.
    const past = !filled && seq !== undefined && this.cursor !== null && id !== undefined && id <= this.cursor;
    if (id !== undefined && (past || this.#seen.has(id))) return this.mark(position);
    if (id !== undefined) this.#remember(id);
    const entry = { id, position, done: false };
    this.#pending.push(entry);
    this.#reach(position);
    const work = this.#hand(envelope, { replay: envelope.meta.replay === true });
    if (!work && !after) return this.#finish(entry);
    void Promise.allSettled([work, after]).then(() => this.#finish(entry));
  }

  /**
   * Move the cursor to `position` as soon as everything before it is processed.
   *
   * @param {number | undefined} position
   */
  mark(position) {
    if (position === undefined || this.suspended) return;
    this.#reach(position);
    this.#pending.push({ position, done: true });
    this.#settle();
  }

  /**
   * Remember a message's id, so that it is not handed over again.
   *
   * @param {number} id
   */
  #remember(id) {
    this.#seen.add(id);
    if (this.#seen.size > MAX_SEEN) this.#seen.delete(/** @type {number} */ (this.#seen.values().next().value));
  }

  /**
   * Note the ack of an own message.
   *
   * @param {import("./types.js").AckPayload} ack
   * @param {boolean} live
   */
  acked(ack, live) {
    if (ack.message_id === undefined || this.suspended) return;
    this.#remember(ack.message_id);
    // Before `synced`, and for a duplicate (stored over an earlier connection), messages before the ack may still be to
    // come: the cursor must not pass them.
    if (live && !ack.duplicate) this.mark(ack.message_id);
  }

  /** @param {Entry} entry */
  #finish(entry) {
    entry.done = true;
    if (entry.id !== undefined && this.#pending.includes(entry) && entry.id > (this.cursor ?? 0)) this.taken.add(entry.id);
    this.#settle();
  }

  #settle() {
    const before = this.cursor;
    let processed = 0;
    while (this.#pending[processed]?.done) {
      const { position } = this.#pending[processed++];
      if (position !== undefined && position > (this.cursor ?? -1)) this.cursor = position;
    }
    this.#pending.splice(0, processed);
    if (this.cursor !== before) for (const id of this.taken) if (id <= (this.cursor ?? 0)) this.taken.delete(id);
    if (processed) this.#onMoved();
  }

  /** @param {number | undefined} position */
  #reach(position) {
    if (position !== undefined && position > (this.reached ?? -1)) this.reached = position;
  }
}
