/** Notifications of the page: what notifies, what shows it, and what the user is asked. */

import { choices, choose, askPermission } from "./choices.js";
import { Alerts } from "./alerts.js";
import { Focus } from "./focus.js";
import { Levels } from "./levels.js";
import { WebPush } from "./web-push.js";
import "./level-dialog.js";
import { setMutedBy } from "../sidebar/line-menu.js";
import { words } from "../words.js";

/** @import { Messenger } from "../messenger.js" */

setMutedBy(({ notifying, store }, id) => notifying?.levels.of({ target: id, kind: store.conversation(id).kind }).muted ?? false);

export class Notifying {
  /** @type {(() => void)[]} */
  #ends = [];

  /** @param {Messenger} messenger */
  constructor(messenger) {
    this.messenger = messenger;
    this.focus = new Focus();
    this.levels = new Levels(messenger.messaging, () => this.#changed());
    this.push = new WebPush(messenger);
    this.alerts = new Alerts(messenger, this.levels, this.focus, () => this.#hint());
    const seen = () => document.visibilityState === "visible" && this.#load();
    const told = (/** @type {MessageEvent} */ { data }) => {
      if (data?.visit) messenger.visit(data.visit);
      if (data?.renewed) void this.push.keepUp().catch(() => {}); // at the next start
    };
    document.addEventListener("visibilitychange", seen);
    navigator.serviceWorker?.addEventListener("message", told);
    this.#ends = [
      () => document.removeEventListener("visibilitychange", seen),
      () => navigator.serviceWorker?.removeEventListener("message", told),
      messenger.socket.onConnectionStateChange((state) => {
        if (state === "connected") this.#load();
      }),
      messenger.socket.registerHandler("notification_settings", () => this.#load()), // chosen on another device
    ];
    void messenger.store.ready.then(() => this.push.keepUp()).catch(() => {}); // at the next start
  }

  close() {
    for (const end of this.#ends.splice(0)) end();
    this.alerts.close();
    this.levels.close();
    this.focus.close();
  }

  /** Ask the server what is chosen; until it answers, what it said last holds. */
  #load() {
    void this.levels.load().catch(() => {});
  }

  #changed() {
    this.messenger.sidebar?.redraw();
    this.alerts.count();
  }

  /** Offer notifications, once, to somebody who was away when something came. */
  #hint() {
    if (choices().hinted) return;
    choose({ hinted: true });
    const { hint, hintMore, turnOn } = words.notifications;
    this.messenger.notices.ask(hint, hintMore, turnOn, () => void askPermission().catch(() => {}), { level: "info" });
  }
}
