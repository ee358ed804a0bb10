/**
 * The durable outbox: messages without an answer, kept over reloads and restarts, and refused messages, until the
 * application retries or discards them. All tabs show the same outbox; only the tab with the connection sends.
 *
 * When another tab takes the connection over, it reads the stored messages, and each tab tells it of its own. A message
 * that reaches it twice is taken once, by its id; one that may be on the server already is sent again with the same id,
 * and the server answers with the first ack.
 */

import { check } from "./checks.js";
import { RelayError } from "./errors.js";
import { generateUniqueId } from "./ids.js";
import { errorOf, isSame, keyOf, recordOf } from "./outbox-record.js";
import { MAX_NAME } from "./protocol.js";
import { Receipts } from "./receipts.js";
import { SentMessage } from "./sent-message.js";

/** @import { Clock } from "./clock.js" */
/** @import { Persistence } from "./persistence.js" */
/** @import { OutboxRecord } from "./outbox-record.js" */
/** @import { Entry, Queue } from "./queue.js" */
/** @import { Envelope } from "./types.js" */

/**
 * @typedef {object} Uplink the other tabs
 * @property {boolean} alone whether no other tab has a say in what is sent
 * @property {(request: object) => void} ask asks all other tabs
 * @property {(news: object) => void} share tells all other tabs, if this page has the connection
 */

/**
 * @typedef {object} OutboxOptions
 * @property {Clock} clock
 * @property {number} limit
 * @property {() => Promise<void>} opened
 * @property {() => boolean} live whether there is a connection
 * @property {(message: SentMessage) => void} onChange
 * @property {() => boolean} heard whether anybody listens to changes
 */

const MAX_FAILED = 1000;
/** Types that are not worth sending later. */
const TRANSIENT = new Set(["typing_indicator", "connection_event"]);

export class Outbox {
  #queue;
  #persistence;
  #uplink;
  #options;
  #receipts;
  #number = 0;
  /** @type {Set<Entry>} messages written before the storage was read */
  #early = new Set();

  /**
   * @param {Queue} queue
   * @param {Persistence} persistence
   * @param {Uplink} uplink
   * @param {OutboxOptions} options
   */
  constructor(queue, persistence, uplink, options) {
    this.#queue = queue;
    this.#persistence = persistence;
    this.#uplink = uplink;
    this.#options = options;
    this.#receipts = new Receipts(options.onChange);
  }

  /** The messages that wait for their answer or were refused, oldest first. */
  get messages() {
    return this.#queue.messages;
  }

  /** @param {string} id */
  get(id) {
    return this.#queue.entries.get(id)?.message;
  }

  /** Send a refused message again, with the same id. @param {string} id */
  retry(id) {
    check({ id });
    const entry = this.#queue.entries.get(id);
    if (entry?.message.state !== "failed") return;
    this.#again(entry);
    void this.#save(entry);
  }

  /** Delete a refused message. @param {string} id */
  discard(id) {
    check({ id });
    const entry = this.#queue.entries.get(id);
    if (entry?.message.state !== "failed") return;
    this.#forget(entry);
    this.#uplink.ask({ discard: id });
    this.#options.onChange(entry.message);
  }

  /**
   * Wait until every message has its answer.
   *
   * @param {{signal?: AbortSignal}} [options]
   */
  async flush({ signal } = {}) {
    signal?.throwIfAborted();
    const aborted = new Promise((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason), { once: true }));
    await Promise.race([Promise.allSettled(this.messages), aborted]); // what was refused is settled
  }

  // ---- for the rest of the SDK

  /**
   * @param {string} type
   * @param {object} payload
   * @param {string | null | undefined} targetId
   * @param {{id?: string, keep?: boolean, signal?: AbortSignal}} options
   */
  send(type, payload, targetId, { id = generateUniqueId(), keep = !TRANSIENT.has(type), signal }) {
    if (id.length < 1 || id.length > MAX_NAME) throw new RangeError(`a message's id has 1 to ${MAX_NAME} characters`);
    const meta = { id, ...(targetId == null ? {} : { target_id: targetId }), timestamp: this.#options.clock.now() / 1000 };
    /** @type {Envelope<any>} */
    const envelope = { type, payload: JSON.parse(JSON.stringify(payload)), meta };
    const earlier = this.#queue.entries.get(id);
    if (earlier && isSame(earlier.message.envelope, envelope)) return earlier.message;
    const message = this.#message(envelope);
    const refusal = signal?.aborted ? signal.reason : this.#refusal(keep, Boolean(earlier));
    if (refusal) {
      message.become("failed", { error: refusal });
      this.#warn(message);
      return message;
    }
    const entry = { message, keep, saved: false, number: this.#nextNumber() };
    this.#queue.add(entry);
    if (keep) this.#options.onChange(message);
    void this.#save(entry);
    if (signal) this.#cancelOn(signal, message);
    return message;
  }

  /**
   * Take over a message that an earlier process, or another tab, has written.
   *
   * @param {OutboxRecord} record
   * @param {boolean} tried whether it may have reached the server
   */
  restore({ number, envelope, keep, error }, tried) {
    this.#number = Math.max(this.#number, number);
    for (const early of this.#early) if (early.number <= number) this.#renumber(early); // the clock was set back, and it must stay behind
    const known = this.#queue.entries.get(/** @type {string} */ (envelope.meta.id));
    if (known) {
      if (known.message.state === "failed" && !error) this.#again(known);
      return;
    }
    if (!keep && !this.#uplink.alone) return;
    const message = this.#message(envelope);
    message.heeded = true; // nobody in this page sent it, so a warning here would be noise
    if (error) message.become("failed", { error: RelayError.fromPayload(error) });
    this.#queue.add({ message, number, keep, saved: true, tried });
    if (keep) this.#options.onChange(message);
    this.#trim();
  }

  /** Cancel a message, if it was not sent; tells whether it was cancelled. @param {SentMessage} message @param {Error} [reason] */
  async cancel(message, reason) {
    if (message.state !== "queued") return false;
    if (this.#uplink.alone) this.takeBack(message.id, reason);
    else this.#uplink.ask({ cancel: message.id });
    await message.catch(() => {});
    return message.ack === null;
  }

  /** As the tab that sends, cancel a message that was not sent. @param {string} id @param {Error} [reason] */
  takeBack(id, reason = cancelled()) {
    const entry = this.#queue.entries.get(id);
    if (!entry || entry.tried || entry.message.state === "failed") return;
    this.#forget(entry);
    entry.message.become("failed", { error: reason });
    this.#options.onChange(entry.message);
    this.#uplink.share({ cancelled: id });
  }

  /** Drop a message that another tab discarded. @param {string} id */
  drop(id) {
    const entry = this.#queue.entries.get(id);
    if (!entry) return;
    this.#forget(entry);
    this.#options.onChange(entry.message);
  }

  /** @param {Envelope<"read_receipt">} receipt @param {string | null} userId */
  noteReceipt(receipt, userId) {
    this.#receipts.note(receipt, userId);
  }

  /** Drop everything, as the user signs out. */
  clear() {
    for (const { message } of [...this.#queue.entries.values()]) {
      this.#queue.drop(message.id);
      if (message.state === "queued") message.become("failed", { error: cancelled() });
      this.#options.onChange(message);
    }
  }

  // ---- inside

  /** @param {Envelope<any>} envelope */
  #message(envelope) {
    return new SentMessage(envelope, (message) => this.cancel(message));
  }

  /** @param {AbortSignal} signal @param {SentMessage} message */
  #cancelOn(signal, message) {
    const cancel = () => void this.cancel(message, signal.reason);
    const stop = () => signal.removeEventListener("abort", cancel);
    signal.addEventListener("abort", cancel);
    message.then(stop, stop);
  }

  /** Return why a message cannot be taken, or null. @param {boolean} keep @param {boolean} taken whether its id is */
  #refusal(keep, taken) {
    if (taken) return new RelayError("conflict", "another message with this id is waiting");
    if (!keep && !this.#options.live()) return new RelayError("offline", "not connected", { retry: true });
    if (this.#queue.entries.size - this.#queue.failed.size < this.#options.limit) return null;
    return new RelayError("outbox_full", `${this.#options.limit} messages are waiting`, { retry: true });
  }

  #nextNumber() {
    // Numbers are microseconds, so that tabs number in the order of writing without asking each other. Where the clock
    // was set back they simply count on.
    this.#number = Math.max(this.#number + 1, Math.floor(this.#options.clock.now() * 1000));
    return this.#number;
  }

  /** @param {Entry} entry */
  async #save(entry) {
    if (entry.keep) {
      this.#early.add(entry);
      await this.#options.opened().catch(() => {}); // connect() tells of it
      this.#early.delete(entry);
      if (this.#has(entry)) await this.#persistence.put(keyOf(entry), recordOf(entry));
    }
    if (!this.#has(entry)) return; // cancelled during that
    this.#uplink.ask({ submit: recordOf(entry) });
    this.#queue.ready(entry);
  }

  /** @param {Entry} entry */
  #has(entry) {
    return this.#queue.entries.get(entry.message.id) === entry;
  }

  /** @param {Entry} entry */
  #renumber(entry) {
    this.#queue.drop(entry.message.id);
    entry.number = this.#nextNumber();
    this.#queue.add(entry);
  }

  /** @param {Entry} entry */
  #again(entry) {
    this.#queue.drop(entry.message.id);
    entry.refusals = 0;
    entry.message.become("queued");
    this.#queue.add(entry);
    this.#options.onChange(entry.message);
  }

  /** @param {Entry} entry */
  #forget(entry) {
    this.#queue.drop(entry.message.id);
    void this.#persistence.delete(keyOf(entry));
  }

  /** Warn of a failure, after its author had a chance to listen. @param {SentMessage} message */
  #warn(message) {
    this.#options.clock.setTimeout(() => this.#options.heard() || message.warn(), 0);
  }

  /** Drop the oldest failed messages of too many: an application may never look at them. */
  #trim() {
    const [oldest] = this.#queue.failed;
    if (oldest && this.#queue.failed.size > Math.min(MAX_FAILED, this.#options.limit)) this.drop(oldest.message.id);
  }

  /** A message was acked or refused for good: what the queue calls. @param {Entry} entry */
  answered(entry) {
    const { message } = entry;
    if (message.state === "failed") this.#warn(message);
    if (!entry.keep) return;
    if (message.state === "failed") {
      void this.#persistence.put(keyOf(entry), recordOf(entry));
      this.#uplink.share({ failed: message.id, error: errorOf(message) });
      this.#trim();
    } else {
      void this.#persistence.delete(keyOf(entry));
      this.#receipts.follow(message);
    }
    this.#options.onChange(message);
  }
}

function cancelled() {
  return new DOMException("the message was cancelled", "AbortError");
}
