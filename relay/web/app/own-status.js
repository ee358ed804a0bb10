/** What one has chosen to be seen as: what the server keeps, whichever device chose it, and not what this page remembers. */

import { element } from "./dom.js";

/** @import { Presence } from "../sdk/types.js" */
/** @import { Messenger } from "./messenger.js" */

/** @type {[Presence, string][]} */
const CHOICES = [
  ["online", "Online"],
  ["away", "Away"],
  ["busy", "Busy"],
  ["offline", "Invisible"],
];
/** A device that has just come is told of a moment later: until then its user seems to be gone, or away. */
const SETTLED_MS = 1_500;
const AGAIN_MS = 30_000;

export class OwnStatus {
  /** @type {(() => void)[]} */
  #ends = [];
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** Rises with each word of what was chosen: what was asked before is old by then. */
  #words = 0;

  /** @param {Messenger} messenger */
  constructor(messenger) {
    this.messenger = messenger;
    const { messaging, session, socket } = messenger;
    this.node = element(
      "select",
      { "aria-label": "Your status", onchange: () => this.#choose() },
      element("option", { value: "", hidden: true }, "…"),
      ...CHOICES.map(([value, label]) => element("option", { value }, label)),
    );
    this.#show("");
    const seen = () => void this.#ask();
    document.addEventListener("visibilitychange", seen);
    this.#ends.push(
      () => document.removeEventListener("visibilitychange", seen),
      socket.on("state", (state) => state === "connected" && void this.#ask()),
      // With a position it is a choice of one's own, made on another device.
      messaging.socketManager.registerHandler("status_update", ({ payload, meta }) => {
        if (meta.sender_id === session.userId && meta.message_id !== undefined) this.#take(payload);
      }),
      messaging.onSent(({ envelope: { type, payload }, state }) => {
        if (type !== "status_update") return;
        if (state === "failed") void this.#ask();
        else this.#take(/** @type {any} */ (payload));
      }),
    );
    void this.#ask();
  }

  close() {
    clearTimeout(this.#timer);
    this.#words += 1;
    for (const end of this.#ends.splice(0)) end();
  }

  #choose() {
    const { messaging, failed } = this.messenger;
    messaging.updateStatus(/** @type {Presence} */ (this.node.value)).catch(failed);
  }

  /** @param {{ status: string, until?: number | null }} word */
  #take({ status, until }) {
    this.#words += 1;
    clearTimeout(this.#timer);
    this.#show(status);
    if (until) this.#later(Math.max(0, until * 1000 - Date.now()) + SETTLED_MS);
  }

  /** @param {string} status */
  #show(status) {
    this.node.value = CHOICES.some(([value]) => value === status) ? status : "";
  }

  /** @param {number} wait in milliseconds */
  #later(wait) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#ask(), Math.min(wait, 2 ** 30));
  }

  /**
   * Ask the server what was chosen. How others see oneself is that, while this device is connected and in the foreground.
   *
   * @param {string} [before] what it said a moment ago
   */
  async #ask(before = "") {
    const { messaging, session, socket } = this.messenger;
    const isHere = () => socket.connectionState === "connected" && document.visibilityState === "visible";
    if (!isHere()) return;
    const asked = ++this.#words;
    /** @type {any} */
    const me = await messaging.restApi.getMe().catch(() => null);
    // A server that does not tell what was chosen tells how others see it.
    const now = me?.status ? null : await messaging.restApi.getStatus(session.userId).catch(() => null);
    if (asked !== this.#words) return; // there is a newer word
    if (me?.status) return this.#take({ status: me.status, until: me.status_until });
    if (!now || !isHere()) return this.#later(AGAIN_MS);
    if (now.status === "online" || now.status === "busy" || now.status === before) return this.#take(now);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#ask(now.status), SETTLED_MS);
  }
}
