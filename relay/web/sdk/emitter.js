/**
 * Events by name. Listeners are isolated from each other: what one throws goes to `onFault`, and the others are
 * called all the same.
 */

/** @template {Record<string, any[]>} Events the arguments of each event's listeners */
export class Emitter {
  /** @type {Map<keyof Events, Set<Function>>} */
  #listeners = new Map();
  #onFault;

  /** @param {(fault: unknown) => void} onFault */
  constructor(onFault) {
    this.#onFault = onFault;
  }

  /**
   * Call `listener` at each event of this name, until the function that is returned is called.
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

  /**
   * Tell the listeners, in the order in which they came.
   *
   * @template {keyof Events} Name
   * @param {Name} name
   * @param {Events[Name]} values
   */
  emit(name, ...values) {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) {
      try {
        listener(...values);
      } catch (fault) {
        this.#onFault(fault);
      }
    }
  }
}
