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
  let opened = null;

  async function held() {
    opened ??= openDatabase(indexedDB, database, () => (opened = null));
    return opened;
  }

  /**
   * @template Value
   * @param {IDBTransactionMode} mode
   * @param {(store: IDBObjectStore) => () => Value} work
   * @returns {Promise<Value>}
   */
  async function transact(mode, work) {
    const transaction = (await held()).transaction(STORE, mode, { durability: "strict" });
    return new Promise((resolve, reject) => {
      transaction.onabort = () => reject(transaction.error);
      try {
        const result = work(transaction.objectStore(STORE));
        transaction.oncomplete = () => resolve(result());
      } catch (error) {
        transaction.abort(); // or what went before would stay
        reject(error);
      }
    });
  }

  await held();
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
      const database = await opened;
      opened = null;
      database?.close();
    },
  };
}

/**
 * @param {IDBFactory} indexedDB
 * @param {string} name
 * @param {() => void} gone told when it could not be opened, or when the browser takes it away: the next use opens it again
 * @returns {Promise<IDBDatabase>}
 */
function openDatabase(indexedDB, name, gone) {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(name, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE);
    request.onerror = () => {
      gone();
      reject(request.error);
    };
    request.onsuccess = () => {
      const database = request.result;
      database.onclose = gone;
      database.onversionchange = () => {
        gone();
        database.close();
      };
      resolve(database);
    };
  });
}
