/** Subscribers by path. Changes are gathered, and each subscriber is called once, in a microtask. */

export class Subscriptions {
  /** @type {Map<string, Set<() => void>>} */
  #callbacks = new Map();
  /** @type {Set<string>} */
  #changed = new Set();
  #onFault;

  /** @param {(fault: unknown) => void} onFault called with what a callback throws */
  constructor(onFault) {
    this.#onFault = onFault;
  }

  /**
   * Call `callback` after changes of what `path` names, until the function that is returned is called.
   *
   * @param {string} path
   * @param {() => void} callback
   * @param {() => void} [onLast] called when the last subscriber of the path is gone
   */
  add(path, callback, onLast) {
    const callbacks = this.#callbacks.get(path) ?? new Set();
    this.#callbacks.set(path, callbacks.add(callback));
    return () => {
      if (!callbacks.delete(callback) || callbacks.size > 0) return;
      if (this.#callbacks.get(path) === callbacks) this.#callbacks.delete(path);
      onLast?.();
    };
  }

  /** @param {string} path */
  has(path) {
    return this.#callbacks.has(path);
  }

  /**
   * Note a change.
   *
   * @param {string} path
   */
  touch(path) {
    if (this.#changed.size === 0) queueMicrotask(() => this.#tell());
    this.#changed.add(path);
  }

  #tell() {
    const changed = [...this.#changed];
    this.#changed.clear();
    for (const path of changed) {
      for (const callback of [...(this.#callbacks.get(path) ?? [])]) {
        try {
          callback();
        } catch (fault) {
          this.#onFault(fault);
        }
      }
    }
  }
}
