/**
 * A source of time, which tests replace. `now` is Unix time in milliseconds.
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

/** One timer that can be set again and stopped. */
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
   * Call back once after so many seconds. An earlier setting no longer counts.
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

/**
 * Wait for a promise, up to a deadline: then the result is that of `late`.
 *
 * @template Value
 * @param {Clock} clock
 * @param {number} seconds
 * @param {Value | Promise<Value>} value
 * @param {() => any} late
 */
export async function within(clock, seconds, value, late) {
  const deadline = new Timer(clock);
  /** @type {Promise<void>} */
  const over = new Promise((resolve) => deadline.set(seconds, resolve));
  try {
    return await Promise.race([value, over.then(late)]);
  } finally {
    deadline.stop();
  }
}
