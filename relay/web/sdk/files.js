/** Files by path, for Node and Electron. Importing this module makes attachments of the form `{ path }` possible. */

import { constants, openAsBlob } from "node:fs";
import { access } from "node:fs/promises";
import { basename } from "node:path";

import { paths } from "./attachments.js";

/**
 * Open a file as a Blob. Its bytes are read when they are sent.
 *
 * @param {string | { path: string, name?: string, type?: string }} file
 * @returns {Promise<Blob & { name: string }>}
 * @throws {Error} The file does not exist or may not be read.
 */
export async function openFile(file) {
  const { path, name = basename(path), type = "" } = typeof file === "string" ? { path: file } : file;
  try {
    return Object.assign(await openAsBlob(path, { type }), { name });
  } catch (cause) {
    const { code } = await access(path, constants.R_OK).then(() => /** @type {any} */ (cause), (reason) => reason); // openAsBlob names no path
    throw Object.assign(new Error(`'${path}' cannot be read: ${code === "ENOENT" ? "there is no such file" : code}`, { cause }), { code });
  }
}

paths.open = openFile;
