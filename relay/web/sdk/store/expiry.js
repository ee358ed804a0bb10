/** The timer after which messages that expire are tombstones, without an event of the server's. */

/** @import { State } from "./state.js" */

/** Timers of more than 2³¹ ms fire at once. */
const MAX_TIMER_SECONDS = 2 ** 20;

export class Expiry {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #state;

  /** @param {() => State} state */
  constructor(state) {
    this.#state = state;
  }

  /** Wait for the next message that expires. */
  wait() {
    this.stop();
    const { next } = this.#state().expiring;
    if (next === Infinity) return;
    const seconds = Math.min(MAX_TIMER_SECONDS, Math.max(0, next - Date.now() / 1000));
    this.#timer = setTimeout(() => {
      this.#state().expire(Date.now() / 1000);
      this.wait();
    }, seconds * 1000);
  }

  stop() {
    clearTimeout(this.#timer);
  }
}
