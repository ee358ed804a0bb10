/** Storage in the browser's IndexedDB: one database for all names, shared by the tabs. */

/** @import { Storage } from "./memory.js" */

const STORE = "entries";
const LAST = "\uffff";

/**
 * Open a storage in IndexedDB.
 *
 * @param {{database?: string, indexedDB?: IDBFactory}} [options]
 * @returns {Promise<Storage>}
 * @throws {DOMException} The browser has none to give, as in some private windows.
 */
export async function indexedDBStorage({ database = "relay-sdk", indexedDB = globalThis.indexedDB } = {}) {
  /** @type {Promise<IDBDatabase> | null} */
  let opened = open(indexedDB, database);
  await opened;

  /**
   * @template Value
   * @param {IDBTransactionMode} mode
   * @param {(store: IDBObjectStore) => () => Value} work
   * @returns {Promise<Value>}
   */
  async function transact(mode, work) {
    opened ??= open(indexedDB, database);
    const held = await opened;
    held.onclose = held.onversionchange = () => {
      opened = null; // the browser took it away; the next use opens it again
      held.close();
    };
    return new Promise((resolve, reject) => {
      const transaction = held.transaction(STORE, mode, { durability: "strict" });
      const result = work(transaction.objectStore(STORE));
      transaction.oncomplete = () => resolve(result());
      transaction.onabort = () => reject(transaction.error);
    });
  }

  return {
    blobs: true,
    get: (key) =>
      transact("readonly", (store) => {
        const value = store.get(key);
        return () => value.result;
      }),
    getAll: (prefix) =>
      transact("readonly", (store) => {
        const range = IDBKeyRange.bound(prefix, prefix + LAST);
        const [keys, values] = [store.getAllKeys(range), store.getAll(range)];
        return () => keys.result.map((key, place) => [String(key), values.result[place]]);
      }),
    apply: (batch) =>
      transact("readwrite", (store) => {
        for (const [kind, key, value] of batch) void (kind === "put" ? store.put(value, key) : store.delete(key));
        return () => undefined;
      }),
    async close() {
      const held = await opened;
      opened = null;
      held?.close();
    },
  };
}

/**
 * @param {IDBFactory} indexedDB
 * @param {string} database
 * @returns {Promise<IDBDatabase>}
 */
function open(indexedDB, database) {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(database, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
