/** What only Node and Electron's main process can do. */

export {};
