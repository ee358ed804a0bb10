/**
 * A storage in one file, for Node and Electron's main process: a journal with one JSON batch a line, each with a checksum.
 *
 * Contract:
 *     A batch is on the disk when `apply` resolves, and whatever happens it is there whole or not at all: a torn last line
 *     is cut off.
 *     One process at a time: the file with `.lock` at its end names it.
 */

import { createHash } from "node:crypto";
import { mkdir, open, readFile, rename } from "node:fs/promises";
import { dirname } from "node:path";

import { lock, unlock } from "./lock.js";

/** @import { FileHandle } from "node:fs/promises" */
/** @import { Change, Storage } from "./memory.js" */

const COMPACT_BYTES = 1024 * 1024;

/**
 * Open a storage in a file that only its owner can read; it is created where there is none.
 *
 * @param {string} path
 * @returns {Promise<Storage>}
 * @throws {Error} Another process has it open (`code` is `ELOCKED`), or the file cannot be used.
 */
export async function fileStorage(path) {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await lock(path);
  try {
    return await new Journal(path).open();
  } catch (error) {
    await unlock(path);
    throw error;
  }
}

class Journal {
  /** @type {Map<string, any>} */
  #entries = new Map();
  /** @type {FileHandle | null} */
  #file = null;
  #bytes = 0;
  #compacted = 0;
  /** @type {Promise<unknown>} one write at a time */
  #turn = Promise.resolve();

  /** @param {string} path */
  constructor(path) {
    this.path = path;
  }

  async open() {
    const lines = readJournal(await readFile(this.path).catch(absent));
    for (const batch of lines.batches) this.#take(batch);
    this.#file = await open(this.path, "a+", 0o600);
    await this.#file.truncate(lines.end);
    this.#bytes = this.#compacted = lines.end;
    await syncFolder(this.path);
    return this;
  }

  /** @param {string} key */
  async get(key) {
    return structuredClone(this.#entries.get(key));
  }

  /**
   * @param {string} prefix
   * @returns {Promise<[string, any][]>}
   */
  async getAll(prefix) {
    const found = [...this.#entries].filter(([key]) => key.startsWith(prefix));
    return structuredClone(found.sort(([one], [other]) => (one < other ? -1 : 1)));
  }

  /** @param {Change[]} batch */
  async apply(batch) {
    const line = lineOf(batch);
    await this.#alone(async () => {
      await this.#append(line);
      this.#take(JSON.parse(JSON.stringify(batch)));
      if (this.#bytes > COMPACT_BYTES && this.#bytes > 2 * this.#compacted) await this.#compact();
    });
  }

  async close() {
    await this.#alone(async () => {
      if (!this.#file) return;
      await this.#file.close();
      this.#file = null;
      await unlock(this.path);
    });
  }

  /**
   * @template Value
   * @param {() => Promise<Value>} work
   */
  #alone(work) {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => {});
    return done;
  }

  /** @param {Buffer} line */
  async #append(line) {
    if (!this.#file) throw new Error(`${this.path} is closed`);
    try {
      await this.#file.appendFile(line);
      await this.#file.datasync();
    } catch (error) {
      await this.#file.truncate(this.#bytes).catch(() => {}); // a full disk must not leave half a line before the next
      throw error;
    }
    this.#bytes += line.length;
  }

  /** Write all entries into a new file, and rename it over the old one. */
  async #compact() {
    /** @type {Change[]} */
    const puts = [...this.#entries].map(([key, value]) => ["put", key, value]);
    const fresh = `${this.path}.new`;
    const line = lineOf(puts);
    const file = await open(fresh, "w+", 0o600);
    await file.appendFile(line);
    await file.datasync();
    await rename(fresh, this.path);
    await syncFolder(this.path);
    await this.#file?.close();
    await file.close();
    this.#file = await open(this.path, "a+", 0o600);
    this.#bytes = this.#compacted = line.length;
  }

  /** @param {Change[]} batch */
  #take(batch) {
    for (const [kind, key, value] of batch) {
      if (kind === "put") this.#entries.set(key, value);
      else this.#entries.delete(key);
    }
  }
}

/** @param {Change[]} batch */
function lineOf(batch) {
  const text = JSON.stringify(batch);
  return Buffer.from(`${checksum(text)} ${text}\n`);
}

/** @param {string} text */
function checksum(text) {
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}

/**
 * Read whole lines, up to the first broken one: there a crash has torn the end.
 *
 * @param {Buffer} data
 */
function readJournal(data) {
  /** @type {Change[][]} */
  const batches = [];
  let end = 0;
  for (let next = data.indexOf(10); next >= 0; next = data.indexOf(10, end)) {
    const line = data.subarray(end, next).toString();
    const text = line.slice(17);
    if (line.slice(0, 16) !== checksum(text)) break;
    batches.push(JSON.parse(text));
    end = next + 1;
  }
  return { batches, end };
}

/** @param {NodeJS.ErrnoException} error */
function absent(error) {
  if (error.code === "ENOENT") return Buffer.alloc(0);
  throw error;
}

/** Sync a folder: a new name in it is safe only then. @param {string} path */
async function syncFolder(path) {
  const folder = await open(dirname(path), "r").catch(() => null); // Windows opens no folders
  await folder?.sync().catch(() => {});
  await folder?.close();
}
