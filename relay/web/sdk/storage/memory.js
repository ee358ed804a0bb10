/** Storage that lasts as long as the page or the process. */

/**
 * Where the outbox, the cursor and the device's id are kept. Values are such as JSON can say; an `apply` is whole or
 * not at all, and has reached the disk, where there is one, when it resolves.
 *
 * @typedef {object} Storage
 * @property {(key: string) => Promise<any>} get the value, or undefined
 * @property {(prefix: string) => Promise<[string, any][]>} getAll the pairs whose keys begin so, in the keys' order
 * @property {(batch: Change[]) => Promise<void>} apply
 * @property {() => Promise<void>} close
 * @property {boolean} [blobs] whether values may hold Blobs
 */

/** @typedef {["put", key: string, value: any] | ["delete", key: string]} Change */

/**
 * Make a storage in memory. Managers that share it, one after the other, find what the earlier one left.
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
