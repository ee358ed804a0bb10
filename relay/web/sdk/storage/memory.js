/** A storage in memory, which lasts as long as the page or the process. */

/**
 * A store for the outbox, the cursor and the device's id. Values are JSON values. An `apply` happens whole or not at all;
 * when it resolves it is on the disk, where there is one.
 *
 * @typedef {object} Storage
 * @property {(key: string) => Promise<any>} get the value, or undefined
 * @property {(prefix: string) => Promise<[string, any][]>} getAll the pairs whose keys begin with it, in the keys' order
 * @property {(batch: Change[]) => Promise<void>} apply
 * @property {() => Promise<void>} close
 * @property {boolean} [blobs] whether values may hold Blobs
 */

/** @typedef {["put", key: string, value: any] | ["delete", key: string]} Change */

/**
 * Return a storage in memory. SocketManagers that use it one after the other find each other's data.
 *
 * @returns {Storage}
 */
export function memoryStorage() {
  /** @type {Map<string, any>} */
  const entries = new Map();
  return {
    get: async (key) => structuredClone(entries.get(key)),
    async getAll(prefix) {
      const found = [...entries].filter(([key]) => key.startsWith(prefix));
      return structuredClone(found.sort(([one], [other]) => (one < other ? -1 : 1)));
    },
    async apply(batch) {
      for (const [kind, key, value] of batch) {
        if (kind === "put") entries.set(key, structuredClone(value));
        else entries.delete(key);
      }
    },
    close: async () => {},
    blobs: true,
  };
}
