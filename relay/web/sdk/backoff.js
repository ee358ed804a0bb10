/**
 * The waits between tries, in seconds: exponential with full jitter.
 *
 * `settle` is the time a connection must have been live before the count starts anew. Without it, a connection that
 * always dies at once would be dialled at the shortest wait for ever.
 */
export class Backoff {
  /** @param {{base?: number, cap?: number, settle?: number, random?: () => number}} [options] */
  constructor({ base = 0.5, cap = 30, settle = 1, random = Math.random } = {}) {
    this.base = base;
    this.cap = cap;
    this.settle = settle;
    this.random = random;
  }

  /**
   * Draw the wait before try `attempt` (from 0): at random from 0 to `base` doubled at each try, at most `cap` and `most`.
   *
   * @param {number} attempt
   * @param {number} [most]
   */
  delay(attempt, most = this.cap) {
    return this.random() * Math.min(this.cap, most, this.base * 2 ** Math.min(attempt, 60));
  }
}
