/** The banner that tells when there is no connection. */

import { button, element, fill } from "./dom.js";

/** @import { Messenger } from "./messenger.js" */

/** Most connections are made within this time: a banner before it would only flicker. */
const DELAY_MS = 1_000;

/** @type {Record<string, string>} */
const TEXTS = {
  connecting: "Connecting …",
  replaying: "Catching up …",
  reconnecting: "No connection. What you write is kept, and sent once you are back.",
};

export class Banner {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #end;

  /** @param {Messenger} messenger */
  constructor({ socket, store }) {
    this.node = element("div", { class: "banner", role: "status" });
    this.socket = socket;
    this.#end = store.subscribe("connection", () => this.#changed());
    this.#changed();
  }

  close() {
    this.#end();
    clearTimeout(this.#timer);
  }

  #changed() {
    clearTimeout(this.#timer);
    const { connectionState: state, lastError } = this.socket;
    const text = state === "closed" ? `Not connected: ${lastError?.message}.` : TEXTS[state];
    if (!text) fill(this.node);
    else if (this.node.firstChild || !navigator.onLine) this.#show(text);
    else this.#timer = setTimeout(() => this.#show(text), DELAY_MS);
  }

  /** @param {string} text */
  #show(text) {
    const waits = ["reconnecting", "closed"].includes(this.socket.connectionState);
    const again = button("Try now", () => void this.socket.reconnect().catch(() => {}), { class: "link" });
    fill(this.node, element("span", {}, text), waits && again);
  }
}
