/**
 * Keeps what a store shows from one visit to the next, so that it is there at once, and without a network: the list of
 * conversations, the newest messages of those that were used lately, the notifications.
 *
 * Contract:
 *     What is kept is as new as `at`, a position in the server's log. A resume that begins at or before `at` brings what is
 *     missing. One that begins later does not: then nothing that is kept counts, once the server has told.
 *     Only the tab with the connection writes: it sees everything up to the cursor that it stores.
 *     A write that fails ends this, and nothing else.
 */

import { countOf, pageOf, restorePage, restoreRow, rowOf } from "./kept-records.js";
import { EVERYBODY, SELF } from "./mirror.js";

/**
 * @import { MessagingAPI } from "../messaging-api.js"
 * @import { Change } from "../storage/memory.js"
 * @import { Me } from "../types.js"
 * @import { KeptPage } from "./kept-records.js"
 * @import { State } from "./state.js"
 */

/**
 * @typedef {object} PersistOptions
 * @property {number} [conversations] of so many conversations messages are kept, of those that were used last; 200
 * @property {number} [messages] so many of each; 50
 * @property {number} [bytes] all of them together, about; 20,000,000
 * @property {number} [ahead] of so many conversations at the top of the list the newest messages are fetched and kept, even if
 *   nobody opens them; 30
 */

/**
 * @typedef {object} KeptList the record of everything but the pages
 * @property {number} version
 * @property {string} userId
 * @property {number | null} at
 * @property {string | null} epoch
 * @property {Me | null} me
 * @property {any[]} rows
 * @property {Record<string, { count: any, page: KeptPage | null }>} channels the notifications
 * @property {Record<string, KeptAbout>} pages the pages that count; any other one does not
 */

/**
 * @typedef {object} KeptAbout
 * @property {number} bytes
 * @property {number} used when it was last used, Unix milliseconds
 * @property {boolean} whole whether the newest page was fetched: without it there are only messages that came by themselves
 */

/** @typedef {{ state: () => State, me: () => Me | null }} KeptSource */

const VERSION = 1;
const LIST = "kept/list";
const PAGE = "kept/page/";
/** The time from a change to its being written. */
const GATHER_MS = 300;
/** The least time between two writes. */
const PAUSE_MS = 2_000;
const CHANNELS = [SELF, EVERYBODY];
const MAX_ROWS = 2_000;

export class Kept {
  /** @type {Set<string>} conversations that changed since they were written, in this tab */
  #dirty = new Set();
  /** @type {Map<string, any>} the rows as they are written, by conversation */
  #rows = new Map();
  /** @type {Record<string, KeptAbout>} */
  #pages = {};
  /** @type {Map<string, Promise<void>>} conversations whose page was taken, or is being read */
  #taken = new Map();
  /** @type {Map<string, number>} up to which seq what is kept of a conversation does not count */
  #missed = new Map();
  /** @type {number | null} */
  #at = null;
  /** How often it began anew: what was asked for before that does not count. */
  #era = 0;
  /** @type {string | null} */
  #epoch = null;
  /** Whether this tab has followed the server, from a position that fits what is kept. */
  #live = false;
  #over = false;
  #restoring = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #written = 0;
  /** @type {Promise<void>} */
  #writing = Promise.resolve();
  #socket;
  #source;
  #most;

  /** @param {MessagingAPI} messaging @param {KeptSource} source @param {PersistOptions} options */
  constructor({ socketManager }, source, { conversations = 200, messages = 50, bytes = 20_000_000, ahead = 30 } = {}) {
    this.#socket = socketManager;
    this.#source = source;
    this.#most = { conversations, messages, bytes };
    this.ahead = Math.min(ahead, conversations);
  }

  /**
   * Read the list, and take it into the state of its user; tells whether there was one.
   *
   * @returns {Promise<KeptList | null>}
   */
  async open() {
    const socket = this.#socket;
    const list = await this.#read();
    if (!list || this.#over) return null;
    if (list.version !== VERSION || list.userId !== socket.userId || (socket.epoch && list.epoch !== socket.epoch)) {
      await this.forget();
      return null;
    }
    ({ at: this.#at, epoch: this.#epoch, pages: this.#pages } = list);
    const state = this.#source.state();
    this.#quietly(() => {
      for (const row of list.rows) {
        this.#rows.set(row.target_id, row);
        restoreRow(state, row);
      }
      for (const [key, { count, page }] of Object.entries(list.channels)) {
        state.mirror.conversation(key).unread.row(count);
        if (page) restorePage(state, key, page);
      }
    });
    return list;
  }

  /** Take what is kept of a conversation's messages, once. @param {string} key */
  take(key) {
    if (this.#over || !(key in this.#pages)) return Promise.resolve();
    const running = this.#taken.get(key) ?? this.#take(key);
    this.#taken.set(key, running);
    return running;
  }

  /** @param {string} key */
  async #take(key) {
    const era = this.#era;
    try {
      /** @type {KeptPage | undefined} */
      const page = await this.#socket.storage.get(PAGE + key);
      if (!page || this.#over || era !== this.#era || !(key in this.#pages)) return;
      this.#pages[key].used = Date.now();
      const after = this.#missed.get(key) ?? 0;
      const messages = page.messages.filter(({ meta }) => (meta.seq ?? 0) > after);
      this.#quietly(() => restorePage(this.#source.state(), key, { messages, latest: page.latest }));
    } catch (fault) {
      this.#fail(fault);
    }
  }

  /** Whether a conversation's newest messages are kept. @param {string} key */
  has(key) {
    return this.#pages[key]?.whole ?? false;
  }

  /** Note that something of a conversation changed. @param {string} key */
  changed(key) {
    if (this.#over || this.#restoring) return;
    this.#dirty.add(key);
    this.#plan();
  }

  /** @param {() => void} restore */
  #quietly(restore) {
    this.#restoring = true;
    try {
      restore();
    } finally {
      this.#restoring = false;
    }
  }

  /** Note that messages were missed. @param {string} key @param {number} upTo */
  missed(key, upTo) {
    this.#missed.set(key, upTo);
    if (key in this.#pages) this.#pages[key].whole = false;
    this.changed(key);
  }

  /**
   * There is a connection. Returns false if what is kept is older than where its resume begins: then it does not count.
   *
   * @param {{ cursor: number | null, epoch: string | null }} position where it begins
   */
  live({ cursor, epoch }) {
    if (this.#live) return true;
    this.#live = true;
    const fits = this.#at === null || (this.#epoch === epoch && cursor !== null && this.#at >= cursor);
    if (!fits) this.#pages = {};
    this.#plan();
    return fits;
  }

  /** Begin anew, as the server has another database or there is another user. */
  reset() {
    this.#era += 1;
    this.#rows.clear();
    this.#missed.clear();
    this.#taken.clear();
    this.#dirty.clear();
    this.#pages = {};
    this.#at = null;
    void this.#apply(() => this.#everything());
  }

  /** Write now: the page may be gone in a moment. */
  flush() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    return this.#apply(() => this.#batch());
  }

  /** End this, and delete what is kept. */
  async forget() {
    this.#dirty.clear();
    this.#pages = {};
    await this.#apply(() => this.#everything());
  }

  close() {
    this.#over = true;
    clearTimeout(this.#timer);
  }

  // ---- writing

  #plan() {
    if (this.#timer !== undefined || this.#over || !this.#live || this.#dirty.size === 0) return;
    const wait = Math.max(GATHER_MS, this.#written + PAUSE_MS - Date.now());
    this.#timer = setTimeout(() => void this.flush(), wait);
  }

  /** Whether this tab is the one to write, and knows everything up to its cursor. */
  get #writes() {
    const { isLeader, userId, connectionState } = this.#socket;
    const gone = connectionState === "disconnected" || connectionState === "closed";
    return !this.#over && this.#live && isLeader && !gone && userId !== null && userId === this.#source.state().userId;
  }

  /** @returns {Promise<Change[]>} */
  async #batch() {
    if (!this.#writes) return [];
    // What is kept of a conversation and was not needed so far: what changed is added to it.
    for (let unread = this.#unread; unread.length > 0; unread = this.#unread) await Promise.all(unread.map((key) => this.take(key)));
    if (!this.#writes) return [];
    const state = this.#source.state();
    this.#written = Date.now();
    this.#at = this.#socket.cursor;
    this.#epoch = this.#socket.epoch;
    /** @type {Change[]} */
    const changes = [];
    for (const key of this.#dirty) if (!CHANNELS.includes(key)) this.#note(state, key, changes);
    this.#dirty.clear();
    this.#drop(changes);
    changes.push(["put", LIST, this.#list(state)]);
    return changes;
  }

  get #unread() {
    return [...this.#dirty].filter((key) => key in this.#pages && !this.#taken.has(key));
  }

  /** @param {State} state @param {string} key @param {Change[]} changes */
  #note(state, key, changes) {
    const conversation = state.mirror.conversations.get(key);
    const row = rowOf(state, key);
    if (row) this.#rows.set(key, row);
    else this.#rows.delete(key);
    const page = row && conversation ? pageOf(conversation, this.#most.messages) : null;
    if (page) {
      changes.push(["put", PAGE + key, page]);
      const { used = Date.now(), whole = false } = this.#pages[key] ?? {};
      this.#pages[key] = { bytes: sizeOf(page), used, whole: whole || state.opened.has(key) };
      this.#taken.set(key, Promise.resolve());
    } else if (key in this.#pages) {
      delete this.#pages[key];
      changes.push(["delete", PAGE + key]);
    }
  }

  /** Drop the pages that were used longest ago, above the limits. @param {Change[]} changes */
  #drop(changes) {
    const { conversations, bytes: limit } = this.#most;
    let [count, bytes] = [0, 0];
    for (const [key, page] of Object.entries(this.#pages).sort(([, one], [, other]) => other.used - one.used)) {
      count += 1;
      bytes += page.bytes;
      if (count <= conversations && bytes <= limit) continue;
      delete this.#pages[key];
      changes.push(["delete", PAGE + key]);
    }
  }

  /** @param {State} state @returns {KeptList} */
  #list(state) {
    /** @type {KeptList["channels"]} */
    const channels = {};
    for (const key of CHANNELS) {
      const conversation = state.mirror.conversations.get(key);
      if (conversation) channels[key] = { count: countOf(conversation), page: pageOf(conversation, this.#most.messages) };
    }
    const rows = [...this.#rows.values()].sort((one, other) => place(other) - place(one)).slice(0, MAX_ROWS);
    const { userId } = state;
    return { version: VERSION, userId, at: this.#at, epoch: this.#epoch, me: this.#source.me(), rows, channels, pages: this.#pages };
  }

  /** @returns {Promise<Change[]>} */
  async #everything() {
    return (await this.#socket.storage.getAll("kept/")).map(([key]) => ["delete", key]);
  }

  /** @returns {Promise<KeptList | null>} */
  async #read() {
    try {
      return (await this.#socket.storage.get(LIST)) ?? null;
    } catch (fault) {
      this.#fail(fault);
      return null;
    }
  }

  /** @param {() => Promise<Change[]>} changes */
  #apply(changes) {
    this.#writing = this.#writing.then(async () => {
      try {
        const batch = await changes();
        if (batch.length > 0) await this.#socket.storage.apply(batch);
      } catch (fault) {
        this.#fail(fault);
      }
      this.#plan();
    });
    return this.#writing;
  }

  /** The browser has no room, or forbids it: do without, and leave the room to what waits to be sent. @param {unknown} fault */
  #fail(fault) {
    if (this.#over) return;
    this.close();
    console.info("relay-sdk: nothing is kept for times without a network:", fault);
    void this.#everything().then((batch) => this.#socket.storage.apply(batch)).catch(() => {});
  }
}

/** @param {any} row */
function place(row) {
  return row.last_message?.meta.message_id ?? 0;
}

/** @param {KeptPage} page */
function sizeOf(page) {
  return JSON.stringify(page).length;
}
