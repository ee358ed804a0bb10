/** A storage in the browser's IndexedDB: one database for all names, shared by the tabs. */

/** @import { Storage } from "./memory.js" */

const STORE = "entries";
const LAST = "\uffff";
const OPEN_SECONDS = 5;
/** Long, as a file of many megabytes may be written to a slow disk. */
const WORK_SECONDS = 60;

/**
 * Open a storage in IndexedDB.
 *
 * @param {{database?: string, indexedDB?: { open(name: string, version?: number): any }}} [options]
 * @returns {Promise<Storage>}
 * @throws {DOMException} The browser has none, as in some private windows, or (a `TimeoutError`) does not answer.
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
   * @param {number} [seconds]
   * @returns {Promise<Value>}
   */
  async function transact(mode, work, seconds = WORK_SECONDS) {
    const transaction = (await held()).transaction(STORE, mode, { durability: "strict" });
    /** @type {Promise<Value>} */
    const done = new Promise((resolve, reject) => {
      transaction.onabort = () => reject(transaction.error);
      try {
        const result = work(transaction.objectStore(STORE));
        transaction.oncomplete = () => resolve(result());
        if (mode === "readwrite") transaction.commit?.(); // it would not commit by itself once the tab is gone
      } catch (error) {
        transaction.abort(); // or the changes before this one would stay
        reject(error);
      }
    });
    return within(seconds, done, () => transaction.abort());
  }

  await transact("readonly", ask, OPEN_SECONDS); // some browsers open it, and then never answer
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

/** @param {IDBObjectStore} store */
function ask(store) {
  store.count();
  return () => undefined;
}

/**
 * @param {{ open(name: string, version?: number): any }} indexedDB
 * @param {string} name
 * @param {() => void} gone called when it could not be opened, or the browser closes it: the next use opens it again
 * @returns {Promise<IDBDatabase>}
 */
function openDatabase(indexedDB, name, gone) {
  /** @type {(database: IDBDatabase) => void} */
  let use = () => {};
  /** @type {Promise<IDBDatabase>} */
  const opening = new Promise((resolve, reject) => {
    use = resolve;
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
      use(database);
    };
  });
  return within(OPEN_SECONDS, opening, () => {
    use = (database) => database.close(); // too late
    gone();
  });
}

/**
 * Wait for a request that a browser may never answer.
 *
 * @template Value
 * @param {number} seconds
 * @param {Promise<Value>} work
 * @param {() => void} late
 * @returns {Promise<Value>}
 * @throws {DOMException} There was no answer in time; `name` is `TimeoutError`.
 */
async function within(seconds, work, late) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const deadline = new Promise((_, reject) => {
    timer = setTimeout(() => {
      reject(new DOMException(`IndexedDB did not answer within ${seconds} s`, "TimeoutError"));
      try {
        late();
      } catch {
        // the transaction is over already
      }
    }, seconds * 1000);
  });
  try {
    return await Promise.race([work, /** @type {Promise<never>} */ (deadline)]);
  } finally {
    clearTimeout(timer);
  }
}
