/**
 * Drafts: what is being written in each conversation. They are kept in the SDK's storage, over reloads and crashes, until they
 * are sent and the outbox has stored the message; and in a browser all tabs show what was written last.
 *
 * A draft has the id of the message that it becomes. Whatever ends a page between the two, a message of that id means that
 * the draft was sent; and a message is stored once, by its id.
 */

import { generateUniqueId } from "../ids.js";
import { Persistence } from "../persistence.js";

/**
 * @import { MessagingAPI } from "../messaging-api.js"
 * @import { SentMessage } from "../sent-message.js"
 */

/**
 * @typedef {object} DraftView
 * @property {string} id that of the message it becomes; empty where there is no draft
 * @property {string} text
 * @property {readonly Blob[]} files chosen, not uploaded
 * @property {number | null} replyTo the message id of the message it answers
 * @property {{ messageId: number, text: string } | null} edit an edit that was begun beside it
 * @property {number} at when it was changed, Unix seconds
 */

/** @typedef {{ text: string, files: number, at: number }} DraftSummary what a list of conversations shows of one; files: how many */

/** @typedef {Partial<Pick<DraftView, "text" | "files" | "replyTo" | "edit">>} DraftChange */

/**
 * @typedef {object} DraftsHost
 * @property {(target: string) => void} changed a draft is another one
 * @property {(target: string) => void} rested what a list shows of it is to be drawn again; not at each key
 */

/**
 * @typedef {object} DraftsOptions
 * @property {number} [delay] milliseconds from a change to its being written
 * @property {number} [fileBytes] the most bytes of files of one draft that are stored; more are held as long as the page
 * @property {new (name: string) => any} [Channel] a BroadcastChannel, joins the tabs; none in Node, where an open one would keep the process
 */

const TEXTS = "drafts/";
const FILES = "draft-files/";
const CHANNEL = "relay-sdk-drafts";
const MAX_RETRY_MS = 5_000;

/** What stands between the ids of a conversation and of a thread's root, where the draft is one of a reply. */
const THREAD = "/thread:";

/**
 * Return the name of the draft of a reply in a thread.
 *
 * @param {string} target the conversation
 * @param {number | null | undefined} rootId none for a message of the conversation itself
 */
export function draftKey(target, rootId) {
  return typeof rootId === "number" ? `${target}${THREAD}${rootId}` : target;
}

/** Return the conversation that a draft is for. @param {string} key */
export function placeOf(key) {
  return key.split(THREAD)[0];
}

/** @type {DraftView} */
const NONE = Object.freeze({ id: "", text: "", files: Object.freeze([]), replyTo: null, edit: null, at: 0 });

export class Drafts {
  /** @type {Map<string, DraftView>} */
  #held = new Map();
  /** @type {Map<string, DraftSummary>} what lists show */
  #shown = new Map();
  /** @type {Map<string, { files: boolean }>} those to be written */
  #dirty = new Map();
  /** What was sent of a draft whose record is still stored: it must not go before the message is stored. @type {Map<string, SentMessage>} */
  #handed = new Map();
  /** Drafts as earlier pages left them: until their messages come, nobody knows whether they were sent. @type {Map<string, DraftView>} */
  #restored = new Map();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #retry = 0;
  #closed = false;
  #messaging;
  #host;
  #delay;
  #fileBytes;
  #texts;
  #files;
  /** @type {any} a BroadcastChannel, or null */
  #channel = null;
  #onHide = () => this.flush();

  /**
   * @param {MessagingAPI} messaging
   * @param {DraftsHost} host
   * @param {DraftsOptions} [options]
   */
  constructor(messaging, host, { delay = 250, fileBytes = 50_000_000, Channel } = {}) {
    this.#messaging = messaging;
    this.#host = host;
    this.#delay = delay;
    this.#fileBytes = fileBytes;
    const { storage } = messaging.socketManager;
    const fault = (/** @type {unknown} */ error) => messaging.socketManager.report(error);
    this.#texts = new Persistence(storage, fault);
    this.#files = new Persistence(storage, fault); // a disk that is full for files may have room for texts
    if (Channel) {
      this.#channel = new Channel(CHANNEL);
      this.#channel.onmessage = (/** @type {{ data: any }} */ { data }) => void this.#reload(data.target).catch(fault);
    }
    globalThis.addEventListener?.("pagehide", this.#onHide);
    globalThis.document?.addEventListener("visibilitychange", this.#onHide);
    /** Resolves once the drafts of earlier pages are there. */
    this.ready = this.#load().catch(fault);
  }

  /** @param {string} target @returns {DraftView} */
  get(target) {
    return this.#held.get(target) ?? NONE;
  }

  /** The conversations whose drafts a list shows. */
  get targets() {
    return this.#shown.keys();
  }

  /** @param {string} target @returns {DraftSummary | null} */
  summary(target) {
    return this.#shown.get(target) ?? null;
  }

  /**
   * Change a draft; what is left out stays.
   *
   * @param {string} target
   * @param {DraftChange} change
   */
  set(target, change) {
    const before = this.get(target);
    const next = { ...before, ...change };
    const isSame = before.text === next.text && before.files === next.files && before.replyTo === next.replyTo;
    if (isSame && before.edit?.messageId === next.edit?.messageId && before.edit?.text === next.edit?.text) return;
    const restored = this.#restored.get(target);
    const id = before.id === restored?.id ? "" : before.id; // that one may be a message already
    if (restored && !next.text.startsWith(restored.text)) this.#restored.delete(target);
    this.#hold(target, { ...next, id: id || generateUniqueId(), at: Date.now() / 1000 });
    this.#mark(target, before.files !== next.files);
  }

  /**
   * Send a draft as a message. It is over then, but for an edit that was begun; it stays where the outbox is full.
   *
   * @param {string} target
   * @param {string | null} kind
   * @param {import("../messaging-api.js").MessageOptions} options
   */
  send(target, kind, options) {
    this.flush(); // the outbox may have to wait for its turn, and a tab that ends meanwhile has the draft
    const [place, root] = target.split(THREAD);
    const { id, text, files, replyTo } = this.get(target);
    const send = kind === "group" ? "sendGroupMessage" : "sendPrivateMessage";
    const thread = root === undefined ? {} : { thread: Number(root) };
    const named = { replyTo: replyTo ?? undefined, ...thread, ...options, id: id || generateUniqueId() };
    const sent = this.#messaging[send](place, text.trim(), [...files], named);
    if (sent.state !== "failed") this.#hand(target, sent);
    return sent;
  }

  /** @param {string} target @param {SentMessage} sent */
  #hand(target, sent) {
    const { edit, files } = this.get(target);
    this.#restored.delete(target);
    this.#handed.set(target, sent);
    this.#hold(target, { ...NONE, edit, id: edit ? generateUniqueId() : "", at: Date.now() / 1000 });
    this.#mark(target, files.length > 0);
    this.flush();
  }

  /**
   * Drop a draft that was sent before the page ended, as its message came from the server; what was added to it since stays.
   *
   * @param {string | undefined} target
   * @param {string | undefined} id the message's own
   */
  arrived(target, id) {
    if (!target || !id) return;
    const { id: now, text, files } = this.get(target);
    const restored = this.#restored.get(target);
    if (restored?.id === id) {
      this.#restored.delete(target);
      const rest = { text: text.slice(restored.text.length), files: files.filter((file) => !restored.files.includes(file)) };
      if (now !== id) this.set(target, rest);
    }
    if (now !== id) return;
    this.#hold(target, NONE);
    this.#dirty.delete(target);
    this.#summarize(target);
    void this.#forget(target, id).catch(() => {}); // its message comes again
  }

  /** Write what is not written yet, at once. */
  flush() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const target of [...this.#dirty.keys()]) {
      this.#summarize(target);
      if (!this.#handed.has(target)) this.#write(target);
      else void this.#settle(target);
    }
  }

  close() {
    this.flush();
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#channel?.close();
    globalThis.removeEventListener?.("pagehide", this.#onHide);
    globalThis.document?.removeEventListener("visibilitychange", this.#onHide);
  }

  // ---- inside

  /** @param {string} target @param {DraftView} draft */
  #hold(target, draft) {
    if (draft.text || draft.files.length > 0 || draft.replyTo !== null || draft.edit) this.#held.set(target, Object.freeze(draft));
    else this.#held.delete(target);
    this.#host.changed(target);
  }

  /** @param {string} target @param {boolean} files whether its files changed */
  #mark(target, files) {
    if (this.#closed) return;
    this.#dirty.set(target, { files: files || (this.#dirty.get(target)?.files ?? false) });
    this.#timer ??= setTimeout(() => this.flush(), this.#delay);
  }

  /** @param {string} target */
  #summarize(target) {
    if (target.includes(THREAD)) return; // lists show those of conversations
    const { text, files, at } = this.get(target);
    const before = this.#shown.get(target);
    if (text.trim() || files.length > 0) this.#shown.set(target, Object.freeze({ text, files: files.length, at }));
    else if (!this.#shown.delete(target)) return;
    const now = this.#shown.get(target);
    if (before?.text !== now?.text || before?.files !== now?.files) this.#host.rested(target);
  }

  /** @param {string} target */
  #write(target) {
    const { files } = /** @type {{ files: boolean }} */ (this.#dirty.get(target));
    this.#dirty.delete(target);
    const draft = this.#held.get(target);
    const written = [];
    if (draft) {
      const { files: _, ...text } = draft;
      written.push(this.#texts.put(TEXTS + target, text));
    } else written.push(this.#texts.delete(TEXTS + target));
    if (files) {
      const kept = draft && this.#messaging.socketManager.storage.blobs && bytesOf(draft.files) <= this.#fileBytes ? draft.files : [];
      written.push(kept.length > 0 ? this.#files.put(FILES + target, kept) : this.#files.delete(FILES + target));
    }
    void Promise.all(written).then(() => this.#closed || this.#channel?.postMessage({ target }));
  }

  /** Write a draft once the message that the one before became is stored. @param {string} target */
  async #settle(target) {
    const sent = /** @type {SentMessage} */ (this.#handed.get(target));
    const kept = await this.#isKept(sent).catch(() => false);
    if (this.#closed || this.#handed.get(target) !== sent) return;
    if (kept) {
      this.#handed.delete(target);
      this.#retry = 0;
      if (this.#dirty.has(target)) this.#write(target);
    } else {
      this.#retry = Math.min(MAX_RETRY_MS, Math.max(10, this.#retry * 2));
      this.#timer ??= setTimeout(() => this.flush(), this.#retry);
    }
  }

  /** Tell whether a message is stored here, or has its answer. @param {{ id: string, state: string }} sent */
  async #isKept({ id, state }) {
    if (state !== "queued" && state !== "uploading") return true;
    const { storage } = this.#messaging.socketManager;
    if ((await storage.get(`uploads/${id}`)) !== undefined) return true;
    return (await storage.getAll("outbox/")).some(([key]) => key.endsWith(`/${id}`));
  }

  async #load() {
    const { storage, opened } = this.#messaging.socketManager;
    await opened;
    const [texts, files] = await Promise.all([storage.getAll(TEXTS), storage.getAll(FILES)]);
    const filesOf = new Map(files);
    for (const [key, text] of texts) {
      const target = key.slice(TEXTS.length);
      if (this.#closed) return;
      if (await this.#isKept({ id: text.id, state: "queued" })) await this.#forget(target, text.id);
      else this.#restore(target, { ...text, files: filesOf.get(FILES + target) ?? [] });
      this.#summarize(target);
    }
  }

  /** Delete a stored draft, unless another tab has begun the next one. @param {string} target @param {string} id */
  async #forget(target, id) {
    const { storage } = this.#messaging.socketManager;
    if ((await storage.get(TEXTS + target))?.id === id) await storage.apply([["delete", TEXTS + target], ["delete", FILES + target]]);
  }

  /** Take in a draft of an earlier page; what was written meanwhile comes behind it. @param {string} target @param {DraftView} draft */
  #restore(target, draft) {
    const { id, text, files, replyTo, edit } = this.get(target);
    this.#restored.set(target, draft);
    const merged = { ...draft, id: id || draft.id, text: draft.text + text, files: [...draft.files, ...files] };
    this.#hold(target, { ...merged, replyTo: replyTo ?? draft.replyTo, edit: edit ?? draft.edit });
    if (this.#dirty.has(target)) this.#mark(target, true);
  }

  /** Take in what another tab wrote, unless this one is writing. @param {string} target */
  async #reload(target) {
    const { storage } = this.#messaging.socketManager;
    const [text, files] = await Promise.all([storage.get(TEXTS + target), storage.get(FILES + target)]);
    const before = this.get(target);
    if (this.#closed || this.#dirty.has(target)) return;
    if ((text?.at ?? 0) === before.at && (text?.text ?? "") === before.text) return;
    const tooLarge = before.id === text?.id && before.files.length > 0 && !files; // held here alone
    this.#hold(target, text ? { ...text, files: tooLarge ? before.files : (files ?? NONE.files) } : NONE);
    this.#summarize(target);
  }
}

/** @param {readonly Blob[]} files */
function bytesOf(files) {
  return files.reduce((sum, { size }) => sum + size, 0);
}
