/** Receipts: which sent messages the other user has received and read, in conversations of two. */

/** @import { SentMessage } from "./sent-message.js" */
/** @import { Envelope } from "./types.js" */

const MAX_FOLLOWED = 1000;

export class Receipts {
  /** @type {Set<SentMessage>} */
  #unread = new Set();
  #onChange;

  /** @param {(message: SentMessage) => void} onChange */
  constructor(onChange) {
    this.#onChange = onChange;
  }

  /**
   * Follow a message that was just acked.
   *
   * @param {SentMessage} message
   */
  follow(message) {
    if (message.envelope.type !== "chat_message" || !message.ack?.seq) return;
    this.#unread.add(message);
    if (this.#unread.size > MAX_FOLLOWED) this.#unread.delete(/** @type {SentMessage} */ (this.#unread.values().next().value));
  }

  /**
   * Note a receipt.
   *
   * @param {Envelope<"read_receipt">} receipt
   * @param {string | null} userId
   */
  note({ payload, meta }, userId) {
    if (meta.target_id !== userId || meta.sender_id === userId) return;
    const state = payload.state === "delivered" ? "delivered" : "read";
    for (const message of this.#unread) {
      const theirs = message.envelope.meta.target_id === meta.sender_id;
      if (!theirs || /** @type {number} */ (message.ack?.seq) > (payload.up_to_seq ?? 0)) continue;
      if (state === "read") this.#unread.delete(message);
      if (message.state === state) continue;
      message.become(state);
      this.#onChange(message);
    }
  }
}
