import { Deferred } from "./deferred.js";
import { Emitter } from "./emitter.js";

/** @import { AckPayload, Envelope } from "./types.js" */

/** @typedef {"queued" | "sent" | "delivered" | "read" | "failed"} SentState */

/**
 * A message that was given to `sendMessage`. Awaiting it waits for the ack, which says that the server has it on disk.
 * `state` is `queued` until the ack and `sent` after it; in a conversation of two it becomes `delivered` and `read` with
 * the other user's receipts. It is `failed` when the message was refused for good or cancelled: `error` says why. While it
 * is `queued`, `error` says why the server did not take it the last time; it is sent again by itself.
 */
export class SentMessage {
  /** @type {SentState} */
  state = "queued";
  /** @type {AckPayload | null} */
  ack = null;
  /** @type {Error | null} */
  error = null;
  /** Whether somebody waits for the answer or listens, and so is told of a failure. */
  heeded = false;
  /** @type {Emitter<{change: [SentMessage]}>} */
  #events = new Emitter();
  /** @type {Deferred<AckPayload>} */
  #answered = new Deferred();
  #cancel;

  /**
   * @param {Envelope} envelope as it goes to the server, its `meta.id` included
   * @param {(message: SentMessage) => Promise<boolean>} cancel
   */
  constructor(envelope, cancel) {
    this.envelope = envelope;
    this.id = /** @type {string} */ (envelope.meta.id);
    this.#cancel = cancel;
  }

  /**
   * Wait for the ack.
   *
   * @template [Acked=AckPayload], [Failed=never]
   * @param {((ack: AckPayload) => Acked | PromiseLike<Acked>) | null} [acked]
   * @param {((error: any) => Failed | PromiseLike<Failed>) | null} [failed]
   * @returns {Promise<Acked | Failed>}
   */
  then(acked, failed) {
    this.heeded = true;
    return this.#answered.promise.then(acked, failed);
  }

  /**
   * @template [Failed=never]
   * @param {((error: any) => Failed | PromiseLike<Failed>) | null} [failed]
   * @returns {Promise<AckPayload | Failed>}
   */
  catch(failed) {
    return this.then(null, failed);
  }

  /**
   * Call `listener` at each change of state, until the returned function is called.
   *
   * @param {(message: SentMessage) => void} listener
   */
  onChange(listener) {
    this.heeded = true;
    return this.#events.on("change", listener);
  }

  /** Write a failure to the console, unless somebody was told of it; for the outbox. */
  warn() {
    const { heeded, state, error, envelope } = this;
    if (heeded || state !== "failed" || error?.name === "AbortError") return;
    console.warn("relay-sdk: nobody waits for this, which failed:", error, envelope.type, envelope.meta.target_id);
  }

  /** Cancel the message, if it was not sent yet; tells whether it was cancelled. */
  cancel() {
    return this.#cancel(this);
  }

  /**
   * Set the state; for the outbox.
   *
   * @param {SentState} state
   * @param {{ack?: AckPayload | null, error?: Error | null}} [answer]
   */
  become(state, answer = {}) {
    if (state === "queued" && this.state === "failed") this.#answered = new Deferred(); // it is retried
    this.state = state;
    this.ack = answer.ack ?? this.ack;
    this.error = answer.error ?? null;
    if (this.ack) this.#answered.resolve(this.ack);
    else if (state === "failed") this.#answered.reject(this.error);
    this.#events.emit("change", this);
  }
}
