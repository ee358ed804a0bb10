/** The main process: the window, and the connection, which is here so that it outlives every window. */

import { BrowserWindow, app, ipcMain, powerMonitor } from "electron";
import { fileURLToPath } from "node:url";

import { Account } from "./account.js";

const SERVER = process.env.RELAY_SERVER ?? "http://127.0.0.1:8484";
const PRELOAD = fileURLToPath(new URL("preload.cjs", import.meta.url));

/** @type {BrowserWindow | null} */
let window = null;
const account = new Account(SERVER, app.getPath("userData"), (channel, value) =>
  window?.webContents.send(channel, value),
);

function openWindow() {
  window = new BrowserWindow({
    width: 900,
    height: 650,
    webPreferences: { preload: PRELOAD, contextIsolation: true, nodeIntegration: false, sandbox: true },
  });
  window.on("closed", () => (window = null));
  void window.loadFile(fileURLToPath(new URL("index.html", import.meta.url)));
}

/** What the window may ask for; nothing else of this process can be reached from it. */
ipcMain.handle("relay:sign-in", (_event, userId, password) => account.signIn(String(userId), String(password)));
ipcMain.handle("relay:sign-out", () => account.signOut());
ipcMain.handle("relay:state", () => account.state());
ipcMain.handle("relay:open", (_event, id) => account.open(String(id)));
ipcMain.handle("relay:send", (_event, id, content) => account.send(String(id), String(content)));

// The outbox's file belongs to one process: a second start shows the window of the first.
if (app.requestSingleInstanceLock()) {
  app.on("second-instance", () => (window ? window.focus() : openWindow()));
  app.on("activate", () => window ?? openWindow());
  app.on("window-all-closed", () => process.platform === "darwin" || app.quit());
  app.on("before-quit", (event) => {
    if (account.closed) return;
    event.preventDefault();
    void account.close().finally(() => app.quit());
  });
  await app.whenReady();
  // After a sleep the old connection is dead, and TCP alone would take minutes to say so.
  powerMonitor.on("resume", () => account.wake());
  await account.begin();
  openWindow();
} else {
  app.quit();
}
