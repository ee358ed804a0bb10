/** A thread beside its conversation, over it on a phone: its messages, and a composer with a draft of its own. */

import { Composer } from "../composer/composer.js";
import { ask, button, element, fill, icon } from "../dom.js";
import { isolate } from "../format.js";
import { may } from "../groups/may.js";
import { gist } from "../texts.js";
import { words } from "../words.js";
import { ThreadList } from "./thread-list.js";

/** @import { MessageView, SentMessage } from "../../sdk/index.js" */
/** @import { ConversationPane } from "../conversation/conversation.js" */

export class ThreadPane {
  /** @type {(() => void)[]} */
  #ends = [];
  #left;
  #newest = "";
  /** @type {Promise<void> | null} what is being loaded: one page at a time */
  #loading = null;

  /**
   * @param {ConversationPane} conversation the pane of the conversation that it is in
   * @param {number} rootId
   * @param {() => void} left called when it is closed
   */
  constructor(conversation, rootId, left) {
    const { files, id, messaging, messenger, names, store } = conversation;
    this.conversation = conversation;
    this.messenger = messenger;
    this.id = id;
    this.thread = rootId;
    this.draftKey = `${id}/thread:${rootId}`;
    this.files = files;
    this.messaging = messaging;
    this.names = names;
    this.store = store;
    this.failed = messenger.failed;
    this.#left = left;
    this.about = element("p", { class: "about" });
    this.followed = button("", () => this.#toggleFollow(), { class: "link" });
    this.told = element("p", { class: "note", role: "status" });
    this.list = new ThreadList(this);
    this.also = element("input", { type: "checkbox" });
    this.composer = new Composer(this);
    const close = button(words.threads.close, () => conversation.side.close(), { sign: icon("close"), class: "quiet" });
    const heading = element("div", { class: "who" }, element("h2", {}, words.threads.thread), this.about);
    this.node = element(
      "aside",
      { class: "panel thread", "aria-label": words.threads.thread, tabindex: -1 },
      element("header", {}, heading, this.followed, close),
      this.told,
      this.list.node,
      this.composer.node,
      element("label", { class: "also" }, this.also, element("span", {}, words.threads.also)),
    );
  }

  get view() {
    return this.store.threads.view(this.id, this.thread);
  }

  get isGroup() {
    return this.conversation.isGroup;
  }

  /** What its messages are sent with besides. */
  sending = () => {
    const threadShown = this.also.checked;
    this.also.checked = false;
    return threadShown ? { threadShown } : {};
  };

  /** Draw the thread, and update it until it is closed. @param {number | null} [reply] the seq of the reply to begin at; else the newest */
  begin(reply = null) {
    const { id, names, store, thread } = this;
    const changed = () => this.#changed();
    const seen = () => this.markRead();
    document.addEventListener("visibilitychange", seen);
    addEventListener("focus", seen);
    this.#ends.push(
      store.threads.open(id, thread),
      store.subscribe(`thread:${id}`, changed),
      store.subscribe("connection", () => this.#loadWhenConnected()),
      names.onChange(changed),
      () => document.removeEventListener("visibilitychange", seen),
      () => removeEventListener("focus", seen),
    );
    changed();
    const loaded = this.#load();
    if (reply !== null) void loaded.then(() => this.goTo(reply));
    if (reply === null && matchMedia("(pointer: fine)").matches) this.composer.focus();
    else this.node.focus();
  }

  /** Go to a reply, loading older ones up to it. @param {number} seq */
  async goTo(seq) {
    const isBefore = () => this.view.gaps.some(({ toSeq }) => seq <= toSeq);
    for (let before = -1; isBefore() && this.view.messages.length !== before; await this.#load({ older: true })) before = this.view.messages.length;
    if (this.#ends.length === 0) return;
    const message = this.view.messages.find((one) => one.seq === seq);
    if (message) this.list.goToKey(message.key);
    else if (this.view.loaded) this.conversation.cannotShow();
  }

  /** Called by the place beside the conversation. */
  close() {
    for (const end of this.#ends.splice(0)) end();
    this.list.close();
    this.composer.close();
    this.#left();
  }

  /** Mark the thread as read, if somebody looks at its newest reply. */
  markRead() {
    if (document.visibilityState !== "visible" || !document.hasFocus() || !this.list.follows || !this.view.loaded) return;
    this.store.threads.markRead(this.id, this.thread);
  }

  loadOlder() {
    void this.#load({ older: true });
  }

  /** @param {number} messageId @param {string} emoji @param {boolean} on */
  toggleReaction(messageId, emoji, on) {
    this.conversation.toggleReaction(messageId, emoji, on);
  }

  /** @param {number} messageId */
  closeActions(messageId) {
    this.conversation.closeActions(messageId);
  }

  /** Delete a message, if the user means it. @param {MessageView} message @returns {Promise<boolean>} */
  async remove({ messageId }) {
    if (messageId === null || !(await ask(words.conversation.deleteQuestion, words.conversation.delete))) return false;
    this.attend(this.messaging.deleteMessage(this.id, messageId));
    return true;
  }

  /** @param {SentMessage} sent */
  attend(sent) {
    this.conversation.attend(sent);
  }

  #loadWhenConnected() {
    if (this.store.connection.state === "connected" && !this.view.loaded) void this.#load();
  }

  /** @param {{ older?: boolean }} [options] */
  #load(options) {
    return (this.#loading ??= this.#fetch(options));
  }

  /** @param {{ older?: boolean }} [options] */
  async #fetch(options) {
    try {
      await this.store.threads.load(this.id, this.thread, options);
      fill(this.told);
    } catch (error) {
      const { code } = /** @type {any} */ (error);
      if (code === "not_found") fill(this.told, words.threads.gone);
      else if (code === "offline") fill(this.told, words.threads.offline);
      else this.failed(error);
    } finally {
      this.#loading = null;
      if (this.#ends.length > 0) this.#changed();
    }
  }

  #changed() {
    const { conversation, list, view } = this;
    const name = this.names.title(conversation.view);
    if (this.about.textContent !== name) fill(this.about, element("bdi", {}, name));
    const follows = view.thread?.follows ?? false;
    const label = follows ? words.threads.unfollow : words.threads.follow;
    if (this.followed.textContent !== label) {
      fill(this.followed, label);
      this.followed.setAttribute("aria-label", label);
    }
    this.followed.hidden = view.thread === null;
    const shut = Boolean(view.over) || !may(conversation.view, "thread") || view.root === null || view.root.deletedAt !== null || this.messenger.restricted.of(this.id) !== null;
    this.composer.node.hidden = shut;
    this.node.classList.toggle("shut", shut);
    this.composer.show();
    list.show(view);
    this.markRead();
    this.#speak(view.messages.at(-1));
    if (!view.loaded && !this.#loading && this.store.connection.state === "connected" && view.root) void this.#load(); // after a gap
  }

  #toggleFollow() {
    const follows = this.view.thread?.follows ?? false;
    this.attend(this.store.threads.follow(this.id, this.thread, !follows));
    this.messenger.notices.speak(follows ? words.threads.unfollowed : words.threads.following);
  }

  /** Have screen readers read a new reply of another user. @param {MessageView | undefined} newest */
  #speak(newest) {
    const known = this.#newest;
    this.#newest = newest?.key ?? "";
    if (!known || !newest || newest.key === known || newest.mine) return;
    this.messenger.notices.speak(`${isolate(this.names.of(newest.senderId))}: ${isolate(gist(newest, this.names))}`);
  }
}
