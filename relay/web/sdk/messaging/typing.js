/** Sends typing indications: not one for every key, and none after a message. */

/** The server ends an indication after this time; it is renewed well before. */
const TYPING_SECONDS = 6;
const RENEW_SECONDS = 4;

export class TypingNotifier {
  /** @type {Map<string, number>} when the last indication was sent, by target */
  #sent = new Map();
  #send;
  #now;

  /**
   * @param {(target: string, typing: boolean) => void} send
   * @param {() => number} now milliseconds
   */
  constructor(send, now) {
    this.#send = send;
    this.#now = now;
  }

  /** @param {string} target @param {boolean} typing */
  note(target, typing) {
    const sent = this.#sent.get(target);
    const lasts = sent !== undefined && this.#now() - sent < 1000 * (typing ? RENEW_SECONDS : TYPING_SECONDS);
    if (typing === lasts) return;
    if (typing) this.#sent.set(target, this.#now());
    else this.#sent.delete(target);
    if (typing || lasts) this.#send(target, typing);
  }

  /**
   * Note that a message was sent: that ends the indication by itself.
   *
   * @param {string} target
   */
  ended(target) {
    this.#sent.delete(target);
  }
}
