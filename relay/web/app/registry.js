/** Lists to which the rooms of the page add entries, each once, when their module is loaded. */

/**
 * @template {{ key: string, order?: number }} Entry
 */
export class Registry {
  /** @type {Map<string, Entry>} */
  #entries = new Map();

  /** Add an entry; one of the same key is replaced. @param {Entry} entry */
  add(entry) {
    this.#entries.set(entry.key, entry);
  }

  /** The entries by their `order`; those without one last. @returns {Entry[]} */
  get all() {
    return [...this.#entries.values()].sort((one, other) => (one.order ?? Infinity) - (other.order ?? Infinity) || 0);
  }
}
