/** What only Node and Electron's main process can do. */

export { fileStorage } from "./storage/file.js";
export { openFile } from "./files.js";
