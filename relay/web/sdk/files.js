/** Files by their path, for Node and Electron: importing this is what lets attachments be given as `{ path }`. */

import { openAsBlob } from "node:fs";
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
  const file = await openAsBlob(path, { type });
  return Object.assign(file, { name });
}

paths.open = openFile;
