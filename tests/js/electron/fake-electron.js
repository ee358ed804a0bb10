/** What the example uses of Electron, as Electron does it; the window is whoever runs this. */

import { EventEmitter } from "node:events";

export const app = Object.assign(new EventEmitter(), {
  /** @param {string} _name */
  getPath: (_name) => /** @type {string} */ (process.env.EXAMPLE_FOLDER),
  requestSingleInstanceLock: () => true,
  whenReady: async () => {},
  quit() {
    let prevented = false;
    app.emit("before-quit", { preventDefault: () => (prevented = true) });
    if (!prevented) process.exit(0);
  },
});

export const powerMonitor = new EventEmitter();

/** @type {Map<string, (event: object, ...values: unknown[]) => unknown>} */
const handlers = new Map();
export const ipcMain = {
  /** @param {string} channel @param {any} handler */ handle: (channel, handler) => handlers.set(channel, handler),
};

/** Bytes that a keychain would have made unreadable; reversed, they are at least not the plain text. */
export const safeStorage = {
  /** @param {string} text */
  encryptString: (text) => Buffer.from(text).reverse(),
  /** @param {Buffer} bytes */
  decryptString: (bytes) => Buffer.from(bytes).reverse().toString(),
};

export class BrowserWindow extends EventEmitter {
  webContents = {
    /** What is sent to a window is cloned on its way. @param {string} channel @param {unknown} value */
    send: (channel, value) => process.send?.({ channel, value: structuredClone(value) }),
  };

  /** @param {{ webPreferences: Record<string, unknown> }} options */
  constructor({ webPreferences }) {
    super();
    process.send?.({ channel: "window", value: webPreferences });
  }

  async loadFile() {}
  focus() {}
}

process.on("message", async (/** @type {any} */ { id, channel, values = [] }) => {
  if (channel === "quit") return app.quit();
  if (channel === "resume") return powerMonitor.emit("resume");
  try {
    const value = await handlers.get(channel)?.({}, ...values);
    process.send?.({ id, value: structuredClone(value) });
  } catch (error) {
    process.send?.({ id, error: String(error) });
  }
});
