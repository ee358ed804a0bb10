/** A promise that is resolved or rejected from outside. @template Value */
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
    this.promise.catch(() => {}); // a failure without a waiter is reported in other ways
  }
}

/** Callers that wait for the same value. @template Value */
export class Waiting {
  /** @type {Set<Deferred<Value>>} */
  #all = new Set();

  /**
   * Wait for the value, until the signal is aborted.
   *
   * @param {AbortSignal} [signal]
   * @returns {Promise<Value>}
   */
  async wait(signal) {
    /** @type {Deferred<Value>} */
    const waiting = new Deferred();
    this.#all.add(waiting);
    const abort = () => waiting.reject(signal?.reason);
    signal?.addEventListener("abort", abort, { once: true });
    try {
      return await waiting.promise;
    } finally {
      this.#all.delete(waiting);
      signal?.removeEventListener("abort", abort);
    }
  }

  /** @param {Value} value */
  resolve(value) {
    for (const waiting of this.#all) waiting.resolve(value);
  }

  /** @param {unknown} error */
  reject(error) {
    for (const waiting of this.#all) waiting.reject(error);
  }
}
