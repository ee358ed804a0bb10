/**
 * Where time comes from, so that tests can make it: `now` is Unix time in milliseconds.
 *
 * @typedef {object} Clock
 * @property {() => number} now
 * @property {(callback: () => void, ms: number) => any} setTimeout
 * @property {(timer: any) => void} clearTimeout
 */

/** @type {Clock} */
export const systemClock = {
  now: () => Date.now(),
  setTimeout: (callback, ms) => setTimeout(callback, ms),
  clearTimeout: (timer) => clearTimeout(timer),
};

/** One timer, set anew or stopped at will. */
export class Timer {
  #clock;
  /** @type {any} */
  #timer = null;

  /** @param {Clock} clock */
  constructor(clock) {
    this.#clock = clock;
  }

  get running() {
    return this.#timer !== null;
  }

  /**
   * Call back once in so many seconds, in place of what was set before.
   *
   * @param {number} seconds
   * @param {() => void} callback
   */
  set(seconds, callback) {
    this.stop();
    this.#timer = this.#clock.setTimeout(() => {
      this.#timer = null;
      callback();
    }, seconds * 1000);
  }

  stop() {
    if (this.#timer !== null) this.#clock.clearTimeout(this.#timer);
    this.#timer = null;
  }
}
