/** The statuses of users, and who is typing where: both come from events alone, and are never stored. */

/** @import { Envelope, Presence } from "../types.js" */

/** The server ends an indication after six seconds. After eight, that message of the server's was lost. */
const TYPING_SECONDS = 8;

/** @typedef {{ userId: string, status: Presence, text: string | null, until: number | null, lastSeen: number | null }} StatusView */

export class Statuses {
  /** @type {Map<string, StatusView>} */
  #views = new Map();

  /** @param {string} userId @returns {StatusView} */
  view(userId) {
    return this.#views.get(userId) ?? this.#set(userId, { status: "unknown" });
  }

  /** @param {string} userId @param {import("../types.js").StatusPayload} status */
  take(userId, status) {
    this.#set(userId, status);
  }

  /** @param {string} userId @param {import("../types.js").StatusPayload} status */
  #set(userId, { status, text = null, until = null, last_seen: lastSeen = null }) {
    const view = Object.freeze({ userId, status, text, until, lastSeen });
    this.#views.set(userId, view);
    return view;
  }
}

export class Typing {
  /** @type {Map<string, Map<string, ReturnType<typeof setTimeout>>>} by conversation, and by user and device */
  #timers = new Map();
  /** @type {Map<string, readonly string[]>} */
  #views = new Map();
  #changed;

  /** @param {(key: string) => void} changed */
  constructor(changed) {
    this.#changed = changed;
  }

  /**
   * Return the ids of the users who type in a conversation.
   *
   * @param {string} key
   */
  view(key) {
    return this.#views.get(key) ?? NOBODY;
  }

  /**
   * Take an indication, or a message: its sender has stopped typing.
   *
   * @param {string} key
   * @param {Envelope<any>} envelope
   */
  take(key, { type, payload, meta }) {
    const who = `${meta.sender_id}\n${meta.client_id ?? ""}`;
    const here = this.#timers.get(key) ?? new Map();
    clearTimeout(here.get(who));
    const was = here.delete(who);
    const types = type === "typing_indicator" && payload.typing;
    if (types) here.set(who, setTimeout(() => this.take(key, { type, payload: { typing: false }, meta }), TYPING_SECONDS * 1000));
    if (here.size > 0) this.#timers.set(key, here);
    else this.#timers.delete(key);
    if (was !== types) this.#show(key);
  }

  /** End all indications of a conversation that its user left. @param {string} key */
  end(key) {
    const timers = this.#timers.get(key);
    if (!timers) return;
    for (const timer of timers.values()) clearTimeout(timer);
    this.#timers.delete(key);
    this.#show(key);
  }

  /** End all indications, as the connection is gone. */
  clear() {
    for (const key of [...this.#timers.keys()]) this.end(key);
  }

  /** @param {string} key */
  #show(key) {
    const users = [...(this.#timers.get(key)?.keys() ?? [])].map((who) => who.slice(0, who.indexOf("\n")));
    this.#views.set(key, Object.freeze([...new Set(users)].sort()));
    if (users.length === 0) this.#views.delete(key);
    this.#changed(key);
  }
}

/** @type {readonly string[]} */
const NOBODY = Object.freeze([]);
