/** The one bridge between the window and the main process: a few functions, and no `ipcRenderer` itself. */

const { contextBridge, ipcRenderer } = require("electron");

contextBridge.exposeInMainWorld("relay", {
  signIn: (userId, password) => ipcRenderer.invoke("relay:sign-in", userId, password),
  signOut: () => ipcRenderer.invoke("relay:sign-out"),
  state: () => ipcRenderer.invoke("relay:state"),
  open: (id) => ipcRenderer.invoke("relay:open", id),
  send: (id, content) => ipcRenderer.invoke("relay:send", id, content),
  onChange: (callback) => {
    const changed = (_event, state) => callback(state);
    ipcRenderer.on("relay:changed", changed);
    return () => ipcRenderer.off("relay:changed", changed);
  },
});
