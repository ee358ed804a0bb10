/**
 * What an application does with threads: reads one as a conversation of its own, follows it, and lists those that the user
 * follows. The list is fetched once; what changes afterwards is told by events, and only a thread that is not known is asked for.
 */

import { read } from "./message.js";
import { isApart, THREAD_FOLLOW, THREAD_READ } from "./threads.js";

/**
 * @import { MessagingAPI } from "../messaging-api.js"
 * @import { Envelope, ThreadAnswer, ThreadsAnswer } from "../types.js"
 * @import { Message } from "./message.js"
 * @import { State } from "./state.js"
 * @import { ThreadView } from "./threads.js"
 */

/**
 * @typedef {object} FollowedThread
 * @property {string} conversation
 * @property {Omit<Message, "deletedAt"> & { deletedAt: number | null }} root
 * @property {ThreadView} thread
 */

/** @typedef {{ threads: readonly FollowedThread[], unread: number, hasMore: boolean, loaded: boolean }} FollowedView unread: how many threads have unread replies */

/**
 * @typedef {object} ThreadHost a Store
 * @property {() => State} state
 * @property {() => Promise<void>} ready
 * @property {() => void} touch called when the list of threads may be another one
 * @property {(error: unknown) => void} failed
 */

/** Threads that are not known are asked for after this time, at a different moment on every device. */
const WAIT_MS = 300;
const SPREAD_MS = 700;
const PAGE = 50;

export class ThreadActions {
  /** The roots of threads that are not held in their conversation. @type {Map<number, Message>} */
  #roots = new Map();
  /** @type {Map<number, string>} */
  #places = new Map();
  /** Roots that were asked for because of a reply. @type {Set<number>} */
  #asked = new Set();
  /** @type {{ unread: number, hasMore: boolean, cursor: number | null } | null} what the server said of all of them */
  #told = null;
  /** @type {State | null} whom that is about */
  #of = null;
  /** @type {FollowedView | null} */
  #view = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #messaging;
  #host;

  /** @param {MessagingAPI} messaging @param {ThreadHost} host */
  constructor(messaging, host) {
    this.#messaging = messaging;
    this.#host = host;
  }

  /**
   * Return a thread as a conversation of its own, its root first. `subscribe("thread:ID")` tells of changes of all threads of one.
   *
   * @param {string} id the conversation's
   * @param {number} rootId
   */
  view(id, rootId) {
    return this.#host.state().thread(id, rootId);
  }

  /**
   * Keep a thread at hand while it is read, until the returned function is called.
   *
   * @param {string} id
   * @param {number} rootId
   */
  open(id, rootId) {
    const of = () => this.#host.state().mirror;
    if (!of().isEnded(id)) of().conversation(id).openThread(rootId, true);
    return () => of().conversations.get(id)?.openThread(rootId, false);
  }

  /**
   * Load the newest replies of a thread, or the next older ones.
   *
   * @param {string} id
   * @param {number} rootId
   * @param {{ older?: boolean, limit?: number }} [options]
   */
  async load(id, rootId, { older = false, limit = 100 } = {}) {
    await this.#host.ready();
    const state = this.#host.state();
    const before = older ? state.mirror.conversations.get(id)?.threads.seqsOf(rootId)[0] : undefined;
    /** @type {ThreadAnswer} */
    const page = await this.#messaging.restApi.request("GET", `/api/messages/thread/${rootId}`, { query: { limit, before } });
    if (state === this.#host.state()) state.threadPage(id, page);
    return page;
  }

  /**
   * Return the root of the thread that alone shows a message; null for a message that the conversation shows, or that is not held.
   *
   * @param {string} id the conversation's
   * @param {number} seq the message's
   * @returns {number | null}
   */
  rootOf(id, seq) {
    const { payload } = this.#host.state().mirror.conversations.get(id)?.messages.get(seq) ?? {};
    return payload && isApart(payload) ? payload.thread : null;
  }

  /** Mark a thread as read up to its newest reply. @param {string} id @param {number} rootId */
  markRead(id, rootId) {
    const { thread } = this.view(id, rootId);
    if (!thread || thread.unread === 0 || thread.readSeq >= thread.lastSeq) return;
    this.#send(THREAD_READ, { thread: rootId, up_to_seq: thread.lastSeq }, id);
  }

  /** Take part in a thread, or no longer. @param {string} id @param {number} rootId @param {boolean} on */
  follow(id, rootId, on) {
    return this.#send(THREAD_FOLLOW, { thread: rootId, on }, id);
  }

  /** The threads that the user follows, the one with the newest reply first. @returns {FollowedView} */
  get followed() {
    return (this.#view ??= this.#listed());
  }

  /** Load the list of threads from the server, or the next page of it. @param {{ more?: boolean }} [options] */
  async loadFollowed({ more = false } = {}) {
    await this.#host.ready();
    const state = this.#host.state();
    if (more && !this.#told?.hasMore) return;
    const cursor = more ? (this.#told?.cursor ?? undefined) : undefined;
    /** @type {ThreadsAnswer} */
    const page = await this.#messaging.restApi.request("GET", "/api/threads", { query: { limit: PAGE, cursor } });
    if (state !== this.#host.state()) return;
    if (this.#of !== state) this.#forget(state);
    for (const row of page.threads) {
      if (state.mirror.isEnded(row.target_id)) continue;
      this.#roots.set(row.thread, read(row.root));
      this.#places.set(row.thread, row.target_id);
      state.mirror.conversation(row.target_id).threads.take(row);
    }
    const beyond = page.unread - this.#unread();
    this.#told = { unread: page.has_more || more ? Math.max(0, beyond) : 0, hasMore: page.has_more, cursor: page.next_cursor };
    this.changed();
  }

  // ---- for the store

  /** Note that something changed in a conversation. */
  changed() {
    this.#view = null;
    this.#host.touch();
  }

  /** Note what came from the server: a reply in a thread that is not known may be in one that the user follows. @param {Envelope<any>} envelope */
  came({ type, payload, meta }) {
    if (meta.seq === undefined || !this.#told) return;
    const about = type === "message_edit" || type === "message_delete" ? payload.message_id : undefined;
    if (about !== undefined && this.#roots.has(about)) this.want();
    const rootId = payload.thread;
    if (typeof rootId !== "number" || this.#places.has(rootId) || this.#asked.has(rootId)) return;
    const state = this.#host.state();
    const target = meta.target_id === state.userId ? meta.sender_id : meta.target_id;
    if (state.mirror.conversations.get(target ?? "")?.byId(rootId)) return;
    this.#asked.add(rootId);
    this.want();
  }

  /** Load the list of threads soon. */
  want() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.loadFollowed().catch(this.#host.failed), WAIT_MS + Math.random() * SPREAD_MS);
  }

  close() {
    clearTimeout(this.#timer);
  }

  /** @param {State} state */
  #forget(state) {
    this.#of = state;
    for (const held of [this.#roots, this.#places, this.#asked]) held.clear();
  }

  #unread() {
    return this.#known().filter(({ thread }) => thread.unread > 0).length;
  }

  /** @returns {FollowedThread[]} */
  #known() {
    const found = [];
    for (const [conversation, { threads, byId }] of this.#conversations()) {
      for (const thread of threads.all) {
        const root = byId(thread.rootId) ?? this.#roots.get(thread.rootId);
        if (thread.follows && thread.replies > 0 && root) found.push({ conversation, root: { ...root, deletedAt: root.deletedAt ?? null }, thread });
      }
    }
    return found;
  }

  /** @returns {[string, { threads: import("./threads.js").Threads, byId: (messageId: number) => Message | undefined }][]} */
  #conversations() {
    const { conversations } = this.#host.state().mirror;
    return [...conversations].map(([key, one]) => [key, { threads: one.threads, byId: (messageId) => one.byId(messageId) }]);
  }

  /** @returns {FollowedView} */
  #listed() {
    const threads = this.#known().sort((one, other) => other.thread.lastId - one.thread.lastId);
    const unread = threads.filter(({ thread }) => thread.unread > 0).length + (this.#told?.unread ?? 0);
    return Object.freeze({ threads: Object.freeze(threads), unread, hasMore: this.#told?.hasMore ?? false, loaded: this.#told !== null });
  }

  /** @param {string} type @param {any} payload @param {string} target */
  #send(type, payload, target) {
    return this.#messaging.socketManager.sendMessage(type, payload, target);
  }
}
