/** A promise with its two ends in one hand. @template Value */
export class Deferred {
  /** @type {(value: Value) => void} */
  resolve = () => {};
  /** @type {(error: unknown) => void} */
  reject = () => {};
  /** @type {Promise<Value>} */
  promise = new Promise((resolve, reject) => {
    this.resolve = resolve;
    this.reject = reject;
  });

  constructor() {
    this.promise.catch(() => {}); // a failure that nobody waits for is told in other ways
  }
}
