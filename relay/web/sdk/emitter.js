/**
 * Event listeners by name, isolated from each other: what one throws is emitted as `error`, and the others are called all
 * the same. An error without a listener, and one that a listener of `error` throws, goes to the console.
 */

/** @template {Record<string, any[]>} Events the arguments of each event's listeners */
export class Emitter {
  /** @type {Map<keyof Events, Set<Function>>} */
  #listeners = new Map();

  /**
   * Call `listener` at each event of this name, until the returned function is called.
   *
   * @template {keyof Events} Name
   * @param {Name} name
   * @param {(...values: Events[Name]) => void} listener
   * @returns {() => void}
   */
  on(name, listener) {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners.add(listener));
    return () => void listeners.delete(listener);
  }

  /** Whether anybody listens. @param {keyof Events} name */
  has(name) {
    return !!this.#listeners.get(name)?.size;
  }

  /**
   * Call the listeners, in the order in which they were added.
   *
   * @template {keyof Events} Name
   * @param {Name} name
   * @param {Events[Name]} values
   */
  emit(name, ...values) {
    const listeners = [...(this.#listeners.get(name) ?? [])];
    if (name === "error" && !listeners.length) console.error(...values);
    for (const listener of listeners) {
      try {
        listener(...values);
      } catch (fault) {
        if (name === "error") console.error(fault);
        else this.emit("error", .../** @type {any} */ ([asError(fault)]));
      }
    }
  }
}

/** @param {unknown} fault */
export function asError(fault) {
  return fault instanceof Error ? fault : new Error(String(fault));
}
