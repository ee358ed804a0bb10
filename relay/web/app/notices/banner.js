/** The banner that tells when there is no connection and why, and when this browser has no room. */

import { button, element, fill } from "../dom.js";
import { closing } from "../problems.js";
import { CLOSE_DRAINING, CLOSE_OVERLOADED } from "../../sdk/protocol.js";
import { words } from "../words.js";

/** @import { Messenger } from "../messenger.js" */

/** Most connections are made within this time: a banner before it would only flicker. */
const DELAY_MS = 1_000;

export class Banner {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** @type {(() => void)[]} */
  #ends;
  #full = false;

  /** @param {Messenger} messenger */
  constructor({ socket, store }) {
    this.node = element("div", { class: "banner", role: "status" });
    this.socket = socket;
    const changed = () => this.#changed();
    addEventListener("online", changed);
    addEventListener("offline", changed);
    this.#ends = [
      store.subscribe("connection", changed),
      socket.onError((fault) => this.#failed(fault)),
      () => removeEventListener("online", changed),
      () => removeEventListener("offline", changed),
    ];
    this.#changed();
  }

  close() {
    for (const end of this.#ends) end();
    clearTimeout(this.#timer);
  }

  /** @param {Error} fault what the SDK could not do, as storing what waits to be sent */
  #failed(fault) {
    if (fault.name !== "QuotaExceededError") return console.error("relay:", fault);
    this.#full = true;
    this.#changed();
  }

  #changed() {
    clearTimeout(this.#timer);
    const text = this.#text();
    if (!text) fill(this.node);
    else if (this.node.firstChild || !navigator.onLine || this.#full) this.#show(text);
    else this.#timer = setTimeout(() => this.#show(this.#text()), DELAY_MS);
  }

  /** Return what to say; empty where everything is as it should be. */
  #text() {
    const { connectionState: state, lastError } = this.socket;
    const { catchingUp, closed, connecting, storageFull } = words.notices;
    if (state === "closed") return closed(closing(lastError));
    if (state === "reconnecting") return this.#why();
    if (this.#full) return storageFull;
    if (state === "connecting") return navigator.onLine ? connecting : words.notices.noNetwork;
    return state === "replaying" ? catchingUp : "";
  }

  /** Return why there is no connection, as far as a page can know. */
  #why() {
    const { lastError, reconnectAttempts } = this.socket;
    const code = /** @type {any} */ (lastError)?.code;
    if (!navigator.onLine) return words.notices.noNetwork;
    if (code === CLOSE_DRAINING) return words.notices.restarting;
    if (code === CLOSE_OVERLOADED) return words.notices.busy;
    return reconnectAttempts > 1 ? words.notices.serverAway : words.notices.lost;
  }

  /** @param {string} text */
  #show(text) {
    if (!text) return fill(this.node);
    const waits = ["reconnecting", "closed"].includes(this.socket.connectionState);
    if (this.node.firstChild?.textContent === text && waits === this.node.childElementCount > 1) return; // or it would be read again
    const again = button(words.notices.tryNow, () => void this.socket.reconnect().catch(() => {}), { class: "link" });
    fill(this.node, element("span", {}, text), waits && again);
  }
}
