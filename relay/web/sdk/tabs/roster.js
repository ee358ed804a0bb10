/** The leader's list of tabs: which are visible, and which one shows the notifications. */

import { watchLife } from "./leadership.js";

/** @import { Locks } from "./leadership.js" */

/** @typedef {{tabs: number, visible: boolean, notifier: string}} Count */

export class Roster {
  /** @type {Map<string, {visible: boolean, unwatch: () => void}>} */
  #tabs = new Map();
  #locks;
  #prefix;
  #own;
  #onChange;

  /**
   * @param {Locks} locks
   * @param {string} prefix of the locks that tabs hold while they live
   * @param {string} own the leader's id
   * @param {() => void} onChange
   */
  constructor(locks, prefix, own, onChange) {
    this.#locks = locks;
    this.#prefix = prefix;
    this.#own = own;
    this.#onChange = onChange;
  }

  /**
   * Note a tab.
   *
   * @param {string} id
   * @param {boolean} visible
   */
  note(id, visible) {
    const known = this.#tabs.get(id);
    if (known?.visible === visible) return;
    const unwatch = known?.unwatch ?? (id === this.#own ? () => {} : watchLife(this.#locks, this.#prefix + id, () => this.remove(id)));
    this.#tabs.delete(id); // the tab that became visible last comes last
    this.#tabs.set(id, { visible, unwatch });
    this.#onChange();
  }

  /** @param {string} id */
  remove(id) {
    const known = this.#tabs.get(id);
    if (!known) return;
    known.unwatch();
    this.#tabs.delete(id);
    this.#onChange();
  }

  clear() {
    for (const { unwatch } of this.#tabs.values()) unwatch();
    this.#tabs.clear();
  }

  /** @returns {Count} */
  count() {
    const visible = [...this.#tabs].filter(([, tab]) => tab.visible);
    return { tabs: this.#tabs.size, visible: visible.length > 0, notifier: visible.at(-1)?.[0] ?? this.#own };
  }
}
