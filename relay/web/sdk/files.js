/** Files by their path, for Node and Electron: importing this is what lets attachments be given as `{ path }`. */

import { constants, openAsBlob } from "node:fs";
import { access } from "node:fs/promises";
import { basename } from "node:path";

import { paths } from "./attachments.js";

/**
 * Open a file, without reading it: its bytes are read as they are sent.
 *
 * @param {string | { path: string, name?: string, type?: string }} place
 * @returns {Promise<Blob & { name: string }>}
 * @throws {Error} There is no such file, or it may not be read.
 */
export async function openFile(place) {
  const { path, name = basename(path), type = "" } = typeof place === "string" ? { path: place } : place;
  try {
    return Object.assign(await openAsBlob(path, { type }), { name });
  } catch (cause) {
    const { code } = await access(path, constants.R_OK).then(() => /** @type {any} */ (cause), (reason) => reason); // openAsBlob names no path
    throw Object.assign(new Error(`'${path}' cannot be read: ${code === "ENOENT" ? "there is no such file" : code}`, { cause }), { code });
  }
}

paths.open = openFile;
