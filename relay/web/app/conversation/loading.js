/** Loads what a list of messages lacks near its window, and remembers what could not be loaded. */

/** @import { ConversationPane } from "./conversation.js" */
/** @import { Gap } from "./lines.js" */

const PAGE = 100;

export class Loading {
  /** @type {Set<string>} */
  #running = new Set();
  /** @type {Set<string>} */
  #failed = new Set();

  /** @param {ConversationPane} pane */
  constructor(pane) {
    this.pane = pane;
  }

  /** Load the messages before the oldest one. */
  older() {
    const { id, store } = this.pane;
    void this.#load("older", () => store.loadOlder(id, PAGE));
  }

  /**
   * Load messages of a gap: those next to what is in sight.
   *
   * @param {string} key the line's
   * @param {Gap} gap
   * @param {boolean} below whether it is below what one looks at
   */
  gap(key, gap, below) {
    const { id, store } = this.pane;
    void this.#load(key, () => store.loadGap(id, gap, PAGE, { oldestFirst: below }));
  }

  /** Return the state of a line for what is missing. @param {string} key */
  stateOf(key) {
    return this.#failed.has(key) ? "failed" : "loading";
  }

  /** Try a line again that failed. @param {string} key */
  again(key) {
    this.#failed.delete(key);
    this.pane.list.show(this.pane.view);
  }

  /** Try everything again that failed, as there is a connection. */
  renew() {
    if (this.#failed.size === 0) return;
    this.#failed.clear();
    this.pane.list.show(this.pane.view);
  }

  /** @param {string} key @param {() => Promise<unknown>} load */
  async #load(key, load) {
    if (this.#running.size > 0 || this.#failed.has(key)) return;
    this.#running.add(key);
    try {
      await load();
    } catch {
      this.#failed.add(key); // its line says so, with a button
    }
    this.#running.delete(key);
    if (!this.pane.closed) this.pane.list.show(this.pane.view);
  }
}
