/** The part of the public API that only Node and Electron's main process can use. */

export { fileStorage } from "./storage/file.js";
export { openFile } from "./files.js";
