/** Slow mode: how long this user waits until they may write again, in each group. The server says it. */

import { span } from "../format.js";
import { words } from "../words.js";

/** @import { SentMessage } from "../../sdk/index.js" */
/** @import { Messenger } from "../messenger.js" */

export class SlowMode {
  /** When this user may write again, by group, in this page's milliseconds. @type {Map<string, number>} */
  #until = new Map();
  /** The groups that are being asked about, and whether to ask once more: a replay may bring many messages. @type {Map<string, boolean>} */
  #asking = new Map();
  /** @type {Set<() => void>} */
  #listeners = new Set();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** @type {WeakSet<object>} */
  #watched = new WeakSet();
  #end;

  /** @param {Messenger} messenger */
  constructor({ messaging, session, socket, store }) {
    this.messaging = messaging;
    this.store = store;
    const ends = [
      messaging.onSent((sent) => this.#take(/** @type {any} */ (sent))),
      // What another device of this user's sends counts as well.
      socket.registerHandler("*", ({ meta }) => {
        if (meta.sender_id === session.userId && meta.seq !== undefined && this.#holds(meta.target_id ?? "")) void this.ask(meta.target_id ?? "");
      }),
    ];
    this.#end = () => ends.forEach((end) => end());
  }

  /** Return the seconds until this user may write; 0 where they may. @param {string} id */
  left(id) {
    return this.#holds(id) ? Math.max(0, ((this.#until.get(id) ?? 0) - performance.now()) / 1000) : 0;
  }

  /** Call back when a wait begins or ends, and each second of it. @param {() => void} changed */
  onChange(changed) {
    this.#listeners.add(changed);
    return () => void this.#listeners.delete(changed);
  }

  /** Ask the server how long the wait in a group is. @param {string} id */
  async ask(id) {
    if (!this.#holds(id)) return;
    if (this.#asking.has(id)) return void this.#asking.set(id, true);
    try {
      do {
        this.#asking.set(id, false);
        this.#wait(id, (await this.messaging.restApi.getGroup(id)).slow_mode_wait ?? 0);
      } while (this.#asking.get(id));
    } catch {
      // without the server what is known stays
    } finally {
      this.#asking.delete(id);
    }
  }

  close() {
    clearTimeout(this.#timer);
    this.#end();
  }

  /** Tell whether slow mode holds for this user: the group's owner and its administrators write as they like. @param {string} id */
  #holds(id) {
    const { role, slowModeSeconds } = this.store.conversation(id);
    return slowModeSeconds > 0 && role === "member";
  }

  /** Learn from a message of this device: it was stored, or the server says that it came too soon. @param {SentMessage} sent */
  #take(sent) {
    const id = sent.envelope?.meta.target_id ?? "";
    if (this.#watched.has(sent) || !sent.envelope || !this.#holds(id)) return;
    this.#watched.add(sent);
    sent.onChange(({ state, error }) => {
      const { retryAfter, details } = /** @type {any} */ (error ?? {});
      if (state === "sent") void this.ask(id);
      else if (details?.reason === "slow_mode") this.#wait(id, retryAfter);
    });
  }

  /** @param {string} id @param {number} seconds */
  #wait(id, seconds) {
    this.#until.set(id, performance.now() + seconds * 1000);
    this.#tell();
  }

  #tell() {
    clearTimeout(this.#timer);
    for (const changed of this.#listeners) changed();
    const left = [...this.#until.values()].map((until) => until - performance.now()).filter((ms) => ms > 0);
    if (left.length > 0) this.#timer = setTimeout(() => this.#tell(), Math.min(1000, Math.min(...left) + 20));
  }
}

/** Return what the field to write in says during a wait. @param {number} left seconds */
export function waitText(left) {
  return words.moderation.slowMode.wait(span(left));
}

/** Return what the header of a group with slow mode says. @param {number} seconds */
export function slowModeText(seconds) {
  return words.moderation.slowMode.on(span(seconds));
}
