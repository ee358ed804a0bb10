/** The user's own status: as the server has it, because another device may have chosen it. */

import { words } from "../words.js";

/** @import { Presence } from "../../sdk/types.js" */
/** @import { Messenger } from "../messenger.js" */

/** @type {[Presence, () => string][]} */
export const CHOICES = [
  ["online", () => words.sidebar.online],
  ["away", () => words.sidebar.away],
  ["busy", () => words.sidebar.busy],
  ["offline", () => words.sidebar.invisible],
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

  /** What the server keeps; empty until it has told. @type {Presence | ""} */
  status = "";
  /** What it says beside, until it ends. @type {string | null} */
  text = null;
  /** When it ends, Unix seconds. @type {number | null} */
  until = null;

  /**
   * @param {Messenger} messenger
   * @param {() => void} changed
   */
  constructor(messenger, changed) {
    this.messenger = messenger;
    this.changed = changed;
    const { messaging, session, socket } = messenger;
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

  /** Choose another one; its text and its end stay. @param {Presence} status */
  choose(status) {
    const { messaging, failed } = this.messenger;
    const { text, until } = this;
    const isOver = until !== null && until * 1000 <= Date.now();
    const more = isOver ? {} : { text: text ?? undefined, until: until ?? undefined };
    messaging.updateStatus(status, more).catch(failed);
  }

  /** @param {{ status: string, text?: string | null, until?: number | null }} choice */
  #take({ status, text, until }) {
    this.#version += 1;
    clearTimeout(this.#timer);
    this.text = text || null;
    this.until = until ?? null;
    this.#show(status);
    if (until) this.#later(Math.max(0, until * 1000 - Date.now()) + SETTLED_MS);
  }

  /** @param {string} status */
  #show(status) {
    this.status = CHOICES.find(([value]) => value === status)?.[0] ?? "";
    this.changed();
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
    if (me?.status) return this.#take({ status: me.status, text: me.status_text, until: me.status_until });
    if (!now || !isHere()) return this.#later(RETRY_MS);
    if (now.status === "online" || now.status === "busy" || now.status === before) return this.#take(now);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#ask(now.status), SETTLED_MS);
  }
}
