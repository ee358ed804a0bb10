/**
 * How long to wait before trying again, in seconds: exponential with full jitter.
 *
 * `settle` is how long a connection must have been live before the count starts anew: one that dies at once after
 * every success must not be dialled at the shortest delay for ever.
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
   * Draw the wait before try number `attempt` (from 0): anything from 0 to the doubled base, capped.
   *
   * @param {number} attempt
   */
  delay(attempt) {
    return this.random() * Math.min(this.cap, this.base * 2 ** Math.min(attempt, 60));
  }
}
