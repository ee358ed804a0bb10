/** @import { Storage } from "./memory.js" */

/**
 * Return a part of a storage: its keys begin with `prefix`, which users of the part do not see. The storage is opened at the
 * first use.
 *
 * @param {() => Promise<Storage>} open
 * @param {string} prefix
 * @returns {Storage}
 */
export function scopedStorage(open, prefix) {
  /** @type {Promise<Storage> | null} */
  let opened = null;
  let blobs = false;
  const storage = async () => {
    const held = await (opened ??= open());
    blobs = held.blobs ?? false;
    return held;
  };
  return {
    get blobs() {
      return blobs; // known once it is open
    },
    get: async (key) => (await storage()).get(prefix + key),
    async getAll(under) {
      const found = await (await storage()).getAll(prefix + under);
      return found.map(([key, value]) => [key.slice(prefix.length), value]);
    },
    async apply(batch) {
      const inside = batch.map(([kind, key, ...value]) => /** @type {any} */ ([kind, prefix + key, ...value]));
      await (await storage()).apply(inside);
    },
    async close() {
      const open = opened;
      opened = null;
      await (await open)?.close();
    },
  };
}
