/** The default storage: IndexedDB, or memory where that is not available. */

import { indexedDBStorage } from "./indexeddb.js";
import { memoryStorage } from "./memory.js";

/** @import { Storage } from "./memory.js" */

/**
 * Open IndexedDB. Where there is none, or it stops answering, memory takes its place: data then lasts as long as the page.
 *
 * @param {(fault: unknown) => void} onFault called if memory takes its place
 * @returns {Promise<Storage>}
 */
export async function autoStorage(onFault) {
  const memory = memoryStorage();
  let held = memory;
  try {
    if (globalThis.indexedDB) held = await indexedDBStorage();
  } catch (fault) {
    onFault(fault); // a private window, or a browser that forbids this page to store anything
  }
  /**
   * @template Value
   * @param {(storage: Storage) => Promise<Value>} work
   * @returns {Promise<Value>}
   */
  const attempt = (work) =>
    work(held).catch((fault) => {
      if (fault?.name !== "TimeoutError") throw fault;
      if (held !== memory) onFault(fault);
      held = memory;
      return work(memory);
    });
  return {
    get blobs() {
      return held.blobs ?? false;
    },
    get: (key) => attempt((storage) => storage.get(key)),
    getAll: (prefix) => attempt((storage) => storage.getAll(prefix)),
    apply: (batch) => attempt((storage) => storage.apply(batch)),
    close: () => held.close(),
  };
}
