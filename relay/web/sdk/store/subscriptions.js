/** Who wants to know of what: changes are gathered and told once, in a microtask, however many there were. */

export class Subscriptions {
  /** @type {Map<string, Set<() => void>>} */
  #callbacks = new Map();
  /** @type {Set<string>} */
  #changed = new Set();
  #onFault;

  /** @param {(fault: unknown) => void} onFault is told what a callback throws */
  constructor(onFault) {
    this.#onFault = onFault;
  }

  /**
   * Call `callback` after changes of what `path` names, until the function that is returned is called.
   *
   * @param {string} path
   * @param {() => void} callback
   * @param {() => void} [onLast] called when nobody is left who wants to know
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
   * Note that something changed.
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
