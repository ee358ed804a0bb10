/**
 * The display names of users. Each is fetched when something first shows it; several at once are looked up together. Those of
 * the last visit are shown until then, and without a network.
 */

import { straight } from "./format.js";
import { learnPicture } from "./people/pictures.js";

/** @import { ConversationSummary, MessagingAPI } from "../sdk/index.js" */

/** @typedef {{ name: string, picture?: string | null, disabled?: boolean }} Person */

const RETRY_MS = 30_000;
/** Names that are wanted within this time are fetched together. */
const GATHER_MS = 20;
/** The time in which most answers come: until then nothing is shown in place of a name, and then the id. */
const PATIENCE_MS = 1_500;
/** From so many on, the directory is read first. */
const MANY = 12;
const AT_ONCE = 4;
const KEPT = "names";
const MOST_KEPT = 2_000;
const KEEP_MS = 3_000;

export class Names {
  /** Grows whenever a name becomes known: lines that show names are drawn anew. */
  version = 0;
  /** @type {Map<string, string>} */
  #known = new Map();
  /** What the server said of users. @type {Map<string, Person>} */
  #users = new Map();
  /** @type {Set<string>} the ids that were fetched in this visit, or are being */
  #asked = new Set();
  /** @type {Set<string>} those among them of which there was no answer so far */
  #waiting = new Set();
  /** @type {string[]} */
  #wanted = [];
  /** @type {Set<() => void>} */
  #listeners = new Set();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #keeping;
  #closed = false;

  /** @param {MessagingAPI} messaging */
  constructor(messaging) {
    this.messaging = messaging;
    void messaging.socketManager.opened.then(() => this.#restore()).catch(() => {}); // the banner shows the error
  }

  /**
   * Return a user's name; until the server has told, an ellipsis, and if it does not, the user id.
   *
   * @param {string} userId
   */
  of(userId) {
    if (!userId) return "";
    if (!this.#asked.has(userId) && (!this.#known.has(userId) || this.#users.has(userId))) this.#ask(userId);
    return this.#known.get(userId) ?? (this.#waiting.has(userId) ? "…" : userId);
  }

  /**
   * Return the title of a conversation. Until the server has listed it, the view's name is only its id.
   *
   * @param {Pick<ConversationSummary, "kind" | "name" | "target">} conversation
   */
  title({ kind, name, target }) {
    return kind === null ? this.of(target) : straight(name);
  }

  /** Tell whether an id is known to be a user's. @param {string} id */
  isUser(id) {
    return this.#users.has(id);
  }

  /** Tell whether a user's account is disabled, as far as it is known. @param {string} id */
  isDisabled(id) {
    return this.#users.get(id)?.disabled ?? false;
  }

  /**
   * Remember a name.
   *
   * @param {string} id
   * @param {string} name
   * @param {{ user?: boolean }} [options] user: whether it is a user's, and not a group's
   */
  learn(id, name, { user = true } = {}) {
    if (user) this.#users.set(id, { ...this.#users.get(id), name: straight(name) });
    this.#waiting.delete(id);
    if (this.#known.get(id) === straight(name)) return;
    this.#known.set(id, straight(name));
    if (user) this.#keep();
    this.redraw();
  }

  /**
   * Call back when a name becomes known, until the returned function is called.
   *
   * @param {() => void} listener
   */
  onChange(listener) {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Tell whether this user blocks somebody. @type {(userId: string) => boolean} */
  isBlocked = () => false;

  /** Have everything that shows names drawn again, also because messages read otherwise now. */
  redraw() {
    this.version += 1;
    for (const listener of [...this.#listeners]) listener();
  }

  /** Stop: the session is over, and its storage is someone else's. */
  close() {
    this.#closed = true;
    clearTimeout(this.#keeping);
  }

  /** @param {string} userId */
  #ask(userId) {
    this.#asked.add(userId);
    if (!this.#known.has(userId)) this.#waiting.add(userId);
    if (this.#wanted.push(userId) === 1) setTimeout(() => void this.#fetch(), GATHER_MS);
    setTimeout(() => this.#waiting.delete(userId) && this.redraw(), PATIENCE_MS);
  }

  async #fetch() {
    if (this.#wanted.length >= MANY) await this.#readDirectory();
    const one = async () => {
      for (let userId = this.#wanted.pop(); userId !== undefined && !this.#closed; userId = this.#wanted.pop()) await this.#fetchOne(userId);
    };
    await Promise.all(Array.from({ length: AT_ONCE }, one));
  }

  /** Learn of many with one call. Those who are not on the first page are asked for one by one. */
  async #readDirectory() {
    try {
      const { users } = await this.messaging.restApi.request("GET", "/api/users", { query: { limit: 200 } });
      const found = new Set();
      for (const user of users) {
        this.#take(user);
        found.add(user.user_id);
      }
      this.#wanted = this.#wanted.filter((userId) => !found.has(userId));
    } catch {
      // each call says by itself what is wrong
    }
  }

  /** @param {string} userId */
  async #fetchOne(userId) {
    try {
      this.#take(await this.messaging.restApi.getUser(userId));
    } catch (error) {
      // What is known, or the id, is shown for now. Ask again later: the user may be created, or the server may come back. Where
      // the server was away, lines must be drawn anew for that, as only drawing asks.
      const draw = /** @type {any} */ (error).code !== "not_found";
      if (this.#waiting.delete(userId)) this.redraw();
      setTimeout(() => (this.#asked.delete(userId), draw && this.redraw()), RETRY_MS);
    }
  }

  /** @param {any} user as the server tells of one */
  #take({ user_id: userId, display_name: name, picture, disabled }) {
    this.#asked.add(userId);
    learnPicture(userId, picture);
    const before = this.#users.get(userId);
    if (before?.picture !== picture || before?.disabled !== disabled) {
      this.#users.set(userId, { name: straight(name), picture, disabled });
      this.#keep();
      if ((before?.disabled ?? false) !== (disabled ?? false)) this.redraw();
    }
    this.learn(userId, name);
  }

  /** Take the names of the last visit, which the server may have told otherwise already. */
  async #restore() {
    /** @type {Record<string, Person>} */
    const kept = (await this.messaging.socketManager.storage.get(KEPT)) ?? {};
    if (this.#closed) return;
    for (const [userId, person] of Object.entries(kept)) {
      if (this.#users.has(userId)) continue;
      this.#users.set(userId, person);
      this.#known.set(userId, person.name);
      learnPicture(userId, person.picture ?? null);
    }
    this.redraw();
  }

  /** Keep the names for the next visit, those that were learned last. */
  #keep() {
    if (this.#keeping !== undefined || this.#closed) return;
    this.#keeping = setTimeout(() => {
      this.#keeping = undefined;
      const { storage, userId } = this.messaging.socketManager;
      if (!userId || this.#closed) return;
      const people = Object.fromEntries([...this.#users].slice(-MOST_KEPT));
      storage.apply([["put", KEPT, people]]).catch(() => {}); // without room they are fetched again
    }, KEEP_MS);
  }
}
