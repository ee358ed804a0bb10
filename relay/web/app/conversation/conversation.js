/** The open conversation: its header, its messages, and the composer. */

import { Composer } from "../composer/composer.js";
import { ask, element, fill } from "../dom.js";
import { isolate } from "../format.js";
import { offerGroup } from "../groups/browse.js";
import { PluginPanel } from "../plugins/plugin-panel.js";
import { hashOf, readHash } from "../address.js";
import { openRemoval } from "../moderation/reporting.js";
import { gist, stateOf } from "../texts.js";
import { words } from "../words.js";
import { Header } from "./header.js";
import { Loading } from "./loading.js";
import { MessageList } from "./message-list.js";
import { Reading } from "./reading.js";
import { Side } from "./side.js";
import { PinBar } from "../threads/pin-bar.js";
import { followAddress, openReply } from "../threads/threads.js";

/** @import { MessageView, SentMessage } from "../../sdk/index.js" */
/** @import { Messenger } from "../messenger.js" */

export class ConversationPane {
  /** @type {(() => void)[]} */
  #ends = [];
  #newest = "";
  #followed = false;
  /** Why its messages could not be loaded: there is no such conversation, or no network. @type {"refused" | "offline" | null} */
  #absent = null;
  /** The offer to join the public group that it is, where the user is not in it. @type {HTMLElement | null} */
  #offer = null;
  /** Whether it is left, and nothing of it is drawn any more. */
  closed = false;
  /** The seconds of the slow mode that was asked about. */
  #slow = 0;
  /** Whether it is still being decided where in the conversation one begins. */
  opening = true;

  /**
   * @param {Messenger} messenger
   * @param {string} id
   */
  constructor(messenger, id) {
    const { files, messaging, names, store } = messenger;
    this.messenger = messenger;
    this.id = id;
    this.files = files;
    this.messaging = messaging;
    this.names = names;
    this.store = store;
    this.failed = messenger.failed;
    this.loading = new Loading(this);
    this.reading = new Reading(this);
    this.end = element("div", { class: "end", hidden: true });
    this.list = new MessageList(this);
    this.composer = new Composer(this);
    this.panel = new PluginPanel(id);
    this.side = new Side(() => this.panel.close());
    this.header = new Header(this, this.panel.buttons);
    this.pins = new PinBar(this);
    this.node = element(
      "section",
      { class: "conversation", "aria-label": words.conversation.conversation },
      this.header.node,
      this.pins.node,
      this.list.node,
      this.end,
      this.composer.node,
      this.panel.node,
      this.side.node,
    );
  }

  get view() {
    return this.store.conversation(this.id);
  }

  /** The name of its draft in the store. */
  get draftKey() {
    return this.id;
  }

  /** What its messages are sent with besides. @type {(() => import("../../sdk/messaging-api.js").MessageOptions) | undefined} */
  sending;
  /** The root of the thread that it shows: none. @type {number | undefined} */
  thread;

  get isGroup() {
    return this.view.kind === "group";
  }

  /**
   * Draw the conversation, and update it until it is closed.
   *
   * @param {number | null} [seq] the message to begin at; else where one was, the first unread one, or the newest
   */
  begin(seq = null) {
    const { id, reading, store } = this;
    const changed = () => this.#changed();
    const seen = () => reading.seen();
    document.addEventListener("visibilitychange", seen);
    addEventListener("focus", seen);
    this.#ends.push(
      store.subscribe(`conversation:${id}`, changed),
      store.subscribe(`typing:${id}`, () => this.header.showAbout()),
      store.subscribe(`presence:${id}`, () => this.header.show(this.names.title(this.view))),
      store.subscribe("connection", () => store.connection.state === "connected" && this.#renew()),
      this.names.onChange(changed),
      this.messenger.restricted.onChange(() => this.#drawEnd()),
      () => document.removeEventListener("visibilitychange", seen),
      followAddress(this),
      () => removeEventListener("focus", seen),
    );
    this.list.node.classList.add("opening");
    changed();
    void this.#arrive(seq);
    if (matchMedia("(pointer: fine)").matches) this.composer.focus();
  }

  close() {
    const { place } = this.list;
    if (place && !this.opening) this.messenger.places.set(this.id, place);
    else this.messenger.places.delete(this.id);
    this.closed = true;
    for (const end of this.#ends.splice(0)) end();
    this.reading.close();
    this.list.close();
    this.composer.close();
    this.panel.close();
    this.side.close();
    this.pins.close();
  }

  /**
   * Go to a message, loading what is around it where that is needed.
   *
   * @param {number} seq
   * @param {{ offset?: number }} [options] offset: how far below the upper edge; in the middle by default
   */
  async goTo(seq, options = {}) {
    if (!(await this.#hold(seq))) return this.cannotShow();
    if (this.closed) return;
    const root = this.store.threads.rootOf(this.id, seq);
    if (root !== null) return openReply(this, root, seq);
    if (!this.list.goTo(seq, { ...options, found: true })) this.cannotShow();
  }

  /**
   * Go to a message, by an address of its own: going back leads to where one was.
   *
   * @param {number} seq
   * @param {{ offset?: number }} [options]
   */
  async jump(seq, options) {
    const address = hashOf(this.id, seq);
    history.replaceState({ place: this.list.place ?? "end" }, "");
    if (location.hash !== address) history.pushState(null, "", address);
    await this.goTo(seq, options);
  }

  /** Go to where one was before a jump. @param {import("./message-list.js").Place | "end"} place */
  async goBack(place) {
    if (place === "end") this.list.goToEnd();
    else if (await this.#hold(place.seq)) this.list.goTo(place.seq, { offset: place.offset });
  }

  /** Go to the newest message; the address names no message any more. */
  toLatest() {
    if (readHash(location.hash).seq !== null) history.replaceState(null, "", hashOf(this.id));
    this.list.goToEnd();
  }

  /** Say that a message is not there for this user. */
  cannotShow() {
    this.messenger.notices.say(words.conversation.cannotShow, words.conversation.cannotShowWhy);
  }

  /** @param {number | null} seq */
  async #arrive(seq) {
    const { id, messenger, reading, list } = this;
    if (!this.view.loaded) await this.#first();
    if (this.closed) return;
    const place = messenger.places.get(id);
    const { readSeq, unread } = this.view;
    const from = reading.from ?? (place === undefined && unread > 0 ? readSeq + 1 : null);
    if (seq === null && from !== null) await this.#hold(from);
    else if (seq === null && place) await this.#hold(place.seq);
    if (this.closed) return;
    this.opening = false;
    reading.begin(this.view);
    list.show(this.view);
    if (seq !== null) await this.goTo(seq);
    else if (!list.moved && !(place && reading.from === null && list.goTo(place.seq, place))) list.goToNew() || list.goToEnd();
    list.node.classList.remove("opening");
    reading.arrived();
  }

  /** Have the newest messages: as an earlier visit kept them, if it did, and else those of the server. */
  async #first() {
    const { id, store } = this;
    const loaded = this.#load(() => store.loadOlder(id));
    /** @type {Promise<void>} */
    const kept = new Promise((resolve) => {
      const end = store.subscribe(`conversation:${id}`, () => this.view.source === "kept" && resolve());
      this.#ends.push(end);
      void loaded.then(end);
    });
    await Promise.race([loaded, kept]);
  }

  /** Have a message loaded; tells whether it is. @param {number} seq */
  async #hold(seq) {
    if (!this.#holds(seq)) await this.#load(() => this.store.loadAround(this.id, seq, 100));
    return this.#holds(seq);
  }

  /** @param {number} seq */
  #holds(seq) {
    const { gaps, hasOlder, messages } = this.view;
    const oldest = messages[0]?.seq ?? null;
    if (oldest === null || (seq < oldest && hasOlder)) return false;
    return !gaps.some(({ fromSeq, toSeq }) => fromSeq <= seq && seq <= toSeq);
  }

  /** Follow the other user's status, once it is known that it is a user: a new conversation is not on the list yet. */
  #follow() {
    const { id, view } = this;
    const isUser = view.kind === "user" || (view.kind === null && this.names.isUser(id));
    if (this.#followed || !isUser || id === this.messenger.session.userId) return;
    this.#followed = true;
    this.#ends.push(this.messaging.subscribeToUserStatus([id]));
  }

  /**
   * @param {number} messageId
   * @param {string} emoji
   * @param {boolean} on
   */
  toggleReaction(messageId, emoji, on) {
    const { messaging, id } = this;
    this.attend(on ? messaging.react(id, messageId, emoji) : messaging.unreact(id, messageId, emoji));
  }

  /** @param {number} messageId */
  closeActions(messageId) {
    this.attend(this.messaging.socketManager.sendMessage("action_close", { message_id: messageId }));
  }

  /** Delete a message, if the user means it. @param {MessageView} message @returns {Promise<boolean>} */
  async remove({ messageId, mine }) {
    if (messageId !== null && !mine && this.isGroup) return openRemoval(this.messenger, `/api/messages/${messageId}/remove`);
    if (messageId === null || !(await ask(words.conversation.deleteQuestion, words.conversation.delete))) return false;
    this.attend(this.messaging.deleteMessage(this.id, messageId));
    return true;
  }

  /**
   * Show the error of a refused change, and discard the change: it has no line of its own with a retry button.
   *
   * @param {SentMessage} sent
   */
  attend(sent) {
    sent.catch((error) => {
      this.failed(error);
      return this.messaging.discardMessage(sent.id);
    });
  }

  /** @param {() => Promise<unknown>} load */
  async #load(load) {
    try {
      await load();
    } catch (error) {
      const { code } = /** @type {any} */ (error);
      if (code === "not_found" && this.view.kind === null) await this.#missing();
      else if (code === "offline") this.#lacks("offline");
      else this.failed(error);
    }
  }

  /** Load again what could not be loaded, as there is a connection. */
  #renew() {
    this.loading.renew();
    if (this.#absent === null) return;
    this.#absent = null;
    void this.#load(() => this.store.loadOlder(this.id)).then(() => this.closed || this.#changed());
  }

  /** Offer to join the public group of this address, or else tell that there is nobody. */
  async #missing() {
    const joined = () => {
      this.#offer = null;
      this.#renew();
    };
    const offer = await offerGroup(this.messenger, this.id, joined);
    this.#offer = this.view.kind === null ? offer : null;
    this.#lacks("refused");
  }

  /** @param {"refused" | "offline"} why */
  #lacks(why) {
    this.#absent = why;
    if (!this.closed) this.#changed();
  }

  #changed() {
    const { view } = this;
    const name = this.names.title(view);
    this.header.show(name);
    this.#follow();
    this.#drawEnd();
    this.#askSlow();
    this.composer.show();
    this.panel.show();
    this.pins.show(view);
    if (this.opening) this.reading.begin(view);
    else this.reading.changed(view);
    this.list.show(view);
    this.reading.seen();
    this.#speak(view.messages.findLast(({ state }) => state !== "streaming")); // that one is read when it is whole
  }

  /** Ask how long one has to wait, once slow mode is on for this user. */
  #askSlow() {
    const { role, slowModeSeconds } = this.view;
    const slow = role === "member" ? slowModeSeconds : 0;
    if (slow > 0 && slow !== this.#slow) void this.messenger.slowMode.ask(this.id);
    this.#slow = slow;
  }

  /** Tell why there is nothing to read, or nobody to write to: of a group that is over, an address of nobody, a missing network. */
  #drawEnd() {
    const { messages } = this.view;
    const told = stateOf(this.view, this.names, { connected: this.#absent !== "offline", refused: this.#absent === "refused", timeout: this.messenger.restricted.of(this.id) });
    this.composer.node.hidden = told !== null && !told.writable;
    this.list.node.hidden = told !== null && messages.length === 0;
    this.end.hidden = !told;
    if (told?.what === "nobody" && this.#offer) {
      if (!this.end.contains(this.#offer)) fill(this.end, this.#offer);
    } else if (told) fill(this.end, element("strong", {}, told.title), element("p", {}, told.text));
  }

  /**
   * Have screen readers read a new message of another user.
   *
   * @param {MessageView | undefined} newest
   */
  #speak(newest) {
    const known = this.#newest;
    this.#newest = newest?.key ?? "";
    if (!known || !newest || newest.key === known || newest.mine) return;
    this.messenger.notices.speak(`${isolate(this.names.of(newest.senderId))}: ${isolate(gist(newest, this.names))}`);
  }
}
