/** What of a conversation was read: the line "New", and the read pointer, which follows what was really in sight. */

import { isEvent } from "../texts.js";

/** @import { ConversationView, MessageView } from "../../sdk/index.js" */
/** @import { ConversationPane } from "./conversation.js" */

const PAUSE_MS = 400;

export class Reading {
  /** The key of the message above which "New" stands. @type {string | null} */
  newKey = null;
  /** Whether the list is where it was to be when the conversation was opened: nothing is in sight before. */
  #arrived = false;
  #unread = 0;
  #lastOwn = "";
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #markedAt = 0;

  /** @param {ConversationPane} pane */
  constructor(pane) {
    this.pane = pane;
    /** The seq from which the user had marked it as unread: opening it ends that. */
    this.from = pane.view.unreadFrom;
  }

  /** Whether somebody looks at this page. */
  get looks() {
    return document.visibilityState === "visible" && document.hasFocus();
  }

  /** Put "New" above the first unread message, or where the user marked it, as the conversation was opened. @param {ConversationView} view */
  begin(view) {
    const marked = this.from === null ? undefined : view.messages.find(({ seq }) => seq !== null && seq >= Number(this.from));
    this.newKey = (marked ?? firstUnread(view))?.key ?? null;
    this.#lastOwn = ownKey(view);
    this.#unread = view.unread;
  }

  /** Note that the list is where it was to be. */
  arrived() {
    this.#arrived = true;
    this.seen();
  }

  /** Move "New": away when the user wrote, and above what came while nobody looked. @param {ConversationView} view */
  changed(view) {
    const own = ownKey(view);
    if (own !== this.#lastOwn && isNewer(view, own, this.newKey)) this.newKey = null;
    this.#lastOwn = own;
    if (this.#arrived && this.#unread === 0 && view.unread > 0 && !(this.looks && this.pane.list.follows)) this.newKey = firstUnread(view)?.key ?? null;
    this.#unread = view.unread;
  }

  /** Mark as read what is in sight, if somebody looks. */
  seen() {
    const { view, list, store, id } = this.pane;
    if (!this.#arrived || view.unread === 0 || !this.looks) return;
    const upTo = list.seenSeq;
    if (upTo <= view.readSeq) return;
    const wait = this.#markedAt + PAUSE_MS - Date.now();
    clearTimeout(this.#timer);
    if (wait > 0) this.#timer = setTimeout(() => this.seen(), wait);
    else {
      this.#markedAt = Date.now();
      store.markRead(id, { upTo });
    }
  }

  close() {
    clearTimeout(this.#timer);
  }
}

/**
 * Return the first message that the user has not read; events are none.
 *
 * @param {ConversationView} view
 * @param {(message: MessageView) => boolean} [fits]
 */
export function firstUnread({ messages, readSeq, unread }, fits = () => true) {
  let found = null;
  for (let at = messages.length - 1; at >= 0 && unread > 0; at -= 1) {
    const message = messages[at];
    if (message.seq !== null && message.seq <= readSeq) break;
    if (message.seq !== null && !message.mine && !isEvent(message) && message.deletedAt === null && fits(message)) found = message;
  }
  return found;
}

/** @param {ConversationView} view */
function ownKey({ messages }) {
  return messages.findLast((message) => message.mine && !isEvent(message))?.key ?? "";
}

/** Tell whether a message is below another one. @param {ConversationView} view @param {string} key @param {string | null} other */
function isNewer({ messages }, key, other) {
  for (let at = messages.length - 1; at >= 0; at -= 1) {
    if (messages[at].key === key) return true;
    if (messages[at].key === other) return false;
  }
  return false;
}
