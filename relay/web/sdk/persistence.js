/** Writes changes to the storage in batches: changes made during one write go together into the next. */

/** @import { Change, Storage } from "./storage/memory.js" */

export class Persistence {
  #storage;
  #onFault;
  /** @type {Map<string, Change>} */
  #waiting = new Map();
  /** @type {Promise<void> | null} */
  #next = null;
  /** @type {Promise<void>} */
  #running = Promise.resolve();

  /**
   * @param {Storage} storage
   * @param {(fault: unknown) => void} onFault
   */
  constructor(storage, onFault) {
    this.#storage = storage;
    this.#onFault = onFault;
  }

  /**
   * Write a value; resolves when it is stored, or when that failed, which `onFault` is told.
   *
   * @param {string} key
   * @param {unknown} value
   */
  put(key, value) {
    return this.#add(["put", key, value]);
  }

  /** @param {string} key */
  delete(key) {
    return this.#add(["delete", key]);
  }

  /** Wait until everything is written. */
  async flush() {
    await (this.#next ?? this.#running);
  }

  /** @param {Change} change */
  #add(change) {
    this.#waiting.set(change[1], change);
    this.#next ??= this.#running.then(() => this.#write());
    return this.#next;
  }

  async #write() {
    const batch = [...this.#waiting.values()];
    this.#waiting.clear();
    this.#running = /** @type {Promise<void>} */ (this.#next);
    this.#next = null;
    try {
      await this.#storage.apply(batch);
    } catch (fault) {
      this.#onFault(fault);
    }
  }
}
