/** The user's own status: as the server has it, because another device may have chosen it. */

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
/** A device counts as connected only after a moment: until then its user seems to be offline or away. */
const SETTLED_MS = 1_500;
const RETRY_MS = 30_000;

export class OwnStatus {
  /** @type {(() => void)[]} */
  #ends = [];
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** Counts news of the choice: an answer to an earlier question is out of date. */
  #version = 0;

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
    const visible = () => void this.#ask();
    document.addEventListener("visibilitychange", visible);
    this.#ends.push(
      () => document.removeEventListener("visibilitychange", visible),
      socket.on("state", (state) => state === "connected" && void this.#ask()),
      // With a message id it is a choice that the user made on another device.
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
    this.#version += 1;
    for (const end of this.#ends.splice(0)) end();
  }

  #choose() {
    const { messaging, failed } = this.messenger;
    messaging.updateStatus(/** @type {Presence} */ (this.node.value)).catch(failed);
  }

  /** @param {{ status: string, until?: number | null }} choice */
  #take({ status, until }) {
    this.#version += 1;
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
   * Ask the server for the choice. An older server tells only how others see the user: that is the choice while this device
   * is connected and visible.
   *
   * @param {string} [before] the status that it told a moment ago
   */
  async #ask(before = "") {
    const { messaging, session, socket } = this.messenger;
    const isHere = () => socket.connectionState === "connected" && document.visibilityState === "visible";
    if (!isHere()) return;
    const asked = ++this.#version;
    /** @type {any} */
    const me = await messaging.restApi.getMe().catch(() => null);
    const now = me?.status ? null : await messaging.restApi.getStatus(session.userId).catch(() => null);
    if (asked !== this.#version) return; // there is a newer answer
    if (me?.status) return this.#take({ status: me.status, until: me.status_until });
    if (!now || !isHere()) return this.#later(RETRY_MS);
    if (now.status === "online" || now.status === "busy" || now.status === before) return this.#take(now);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#ask(now.status), SETTLED_MS);
  }
}
