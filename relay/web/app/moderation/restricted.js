/** What this user may not do for a time: their timeouts, in groups and on the whole server. */

import { isolate, span } from "../format.js";
import { words } from "../words.js";

/** @import { Messenger } from "../messenger.js" */

/** @typedef {{ until: number, reason: string, everywhere: boolean }} Timeout until: Unix seconds */

const TOLD = new Set(["timed_out", "timeout_lifted"]);
const EVENTS = new Set(["member_timed_out", "timeout_lifted"]);
/** The remaining time is drawn anew so often, and in the last minutes each second. */
const SLOW_MS = 15_000;
const LAST_SECONDS = 90;

export class Restricted {
  /** By the group's id; that of the whole server is "". @type {Map<string, { until: number, reason: string }>} */
  #held = new Map();
  /** @type {Set<() => void>} */
  #listeners = new Set();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #asked = 0;
  /** @type {(() => void)[]} */
  #ends;

  /** @param {Messenger} messenger */
  constructor(messenger) {
    const { messaging, session, store } = messenger;
    this.messaging = messaging;
    this.#ends = [
      store.subscribe("connection", () => store.connection.state === "connected" && void this.renew()),
      messaging.subscribeToNotifications(({ payload }) => void (TOLD.has(String(payload.data?.moderation)) && this.renew())),
      messaging.socketManager.registerHandler("group_event", ({ payload }) => {
        if (EVENTS.has(payload.event) && payload.user_id === session.userId) void this.renew();
      }),
    ];
  }

  /** Return the timeout that holds in a conversation; null where there is none. @param {string} id @returns {Timeout | null} */
  of(id) {
    const now = Date.now() / 1000;
    for (const place of ["", id]) {
      const held = this.#held.get(place);
      if (held && held.until > now) return { ...held, everywhere: place === "" };
    }
    return null;
  }

  /** Call back when a timeout begins or ends, and as its time runs. @param {() => void} changed */
  onChange(changed) {
    this.#listeners.add(changed);
    return () => void this.#listeners.delete(changed);
  }

  /** Ask the server which timeouts hold. */
  async renew() {
    const mine = ++this.#asked;
    try {
      const { restrictions } = await this.messaging.restApi.request("GET", "/api/users/me/restrictions");
      if (mine !== this.#asked) return;
      const told = /** @type {{ group_id: string | null, until: number, reason: string }[]} */ (restrictions);
      this.#held = new Map(told.map(({ group_id, until, reason }) => [group_id ?? "", { until, reason }]));
      this.#tell();
    } catch {
      // without the server what is known stays; an older server has no timeouts
    }
  }

  close() {
    clearTimeout(this.#timer);
    for (const end of this.#ends) end();
  }

  #tell() {
    clearTimeout(this.#timer);
    for (const changed of this.#listeners) changed();
    const left = [...this.#held.values()].map(({ until }) => until - Date.now() / 1000).filter((seconds) => seconds > 0);
    if (left.length === 0) return;
    const next = Math.min(...left);
    const wait = next > LAST_SECONDS ? SLOW_MS : Math.min(1000, next * 1000 + 20);
    this.#timer = setTimeout(() => this.#tell(), wait);
  }
}

/** Return what stands in place of the field to write in. @param {Timeout} timeout @returns {{ title: string, text: string }} */
export function timeoutText({ until, reason, everywhere }) {
  const texts = words.moderation;
  const title = (everywhere ? texts.mayOnlyRead : texts.mayOnlyReadHere)(span(until - Date.now() / 1000));
  return { title, text: reason ? texts.because(isolate(reason)) : "" };
}
