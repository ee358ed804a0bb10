/** Telling others that one is typing: not at every key, and no longer than one does. */

/** The server's own indication ends after six seconds; it is renewed well before. */
const RENEW_SECONDS = 4;

export class TypingNotifier {
  /** @type {Map<string, number>} when it was said last, by target */
  #said = new Map();
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
    const said = this.#said.get(target);
    const lasts = said !== undefined && this.#now() - said < 1000 * (typing ? RENEW_SECONDS : 6);
    if (typing === lasts) return;
    if (typing) this.#said.set(target, this.#now());
    else this.#said.delete(target);
    if (typing || lasts) this.#send(target, typing);
  }

  /**
   * Note that a message went out, which ends it without a word.
   *
   * @param {string} target
   */
  ended(target) {
    this.#said.delete(target);
  }
}
