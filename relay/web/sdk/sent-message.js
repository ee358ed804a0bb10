import { Deferred } from "./deferred.js";
import { Emitter } from "./emitter.js";

/** @import { AckPayload, Envelope } from "./types.js" */

/** @typedef {"queued" | "sent" | "delivered" | "read" | "failed"} SentState */

/**
 * A message on its way, from `sendMessage` on. It can be awaited: for the ack, which says that the server has it on
 * disk. `state` is `queued` until then, `sent` from then on, and in a conversation of two `delivered` and `read` as
 * the other's receipts come; `failed` when it was refused for good, or cancelled (`error` says why).
 */
export class SentMessage {
  /** @type {SentState} */
  state = "queued";
  /** @type {AckPayload | null} */
  ack = null;
  /** @type {Error | null} */
  error = null;
  /** Whether somebody waits for the answer or listens, and so learns of a failure. */
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
   * @template [Kept=AckPayload], [Failed=never]
   * @param {((ack: AckPayload) => Kept | PromiseLike<Kept>) | null} [kept]
   * @param {((error: any) => Failed | PromiseLike<Failed>) | null} [failed]
   * @returns {Promise<Kept | Failed>}
   */
  then(kept, failed) {
    this.heeded = true;
    return this.#answered.promise.then(kept, failed);
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
   * Call `listener` at each change of state, until the function that is returned is called.
   *
   * @param {(message: SentMessage) => void} listener
   */
  onChange(listener) {
    this.heeded = true;
    return this.#events.on("change", listener);
  }

  /** Write a failure to the console that nobody else tells of; for the outbox. */
  warn() {
    const { heeded, state, error, envelope } = this;
    if (heeded || state !== "failed" || error?.name === "AbortError") return;
    console.warn("relay-sdk: nobody waits for this, which failed:", error, envelope.type, envelope.meta.target_id);
  }

  /** Take the message back, if it is not on its way yet; tells whether it was. */
  cancel() {
    return this.#cancel(this);
  }

  /**
   * Take over what became of it; for the outbox.
   *
   * @param {SentState} state
   * @param {{ack?: AckPayload | null, error?: Error | null}} [answer]
   */
  become(state, answer = {}) {
    if (state === "queued" && this.state === "failed") this.#answered = new Deferred(); // tried anew
    this.state = state;
    this.ack = answer.ack ?? this.ack;
    this.error = answer.error ?? null;
    if (this.ack) this.#answered.resolve(this.ack);
    else if (this.error) this.#answered.reject(this.error);
    this.#events.emit("change", this);
  }
}
