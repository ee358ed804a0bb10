/** The open conversation: who it is with, what was said, and what is to be said. */

import { Composer } from "./composer.js";
import { ask, button, element, fill, icon } from "./dom.js";
import { listed } from "./format.js";
import { showMembers } from "./members.js";
import { MessageList } from "./message-list.js";
import { gist, statusText } from "./texts.js";

/** @import { MessageView, SentMessage } from "../sdk/index.js" */
/** @import { Messenger } from "./messenger.js" */

export class ConversationPane {
  /** @type {(() => void)[]} */
  #ends = [];
  /** The message whose reactions are being chosen, by its key. @type {string | null} */
  picking = null;
  #newest = "";
  #loading = false;

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
    this.heading = element("h2", {});
    this.about = element("p", { class: "about", role: "status" });
    this.tools = element("div", { class: "tools" });
    const back = button("All conversations", () => (location.hash = ""), { sign: icon("back"), class: "quiet back" });
    this.list = new MessageList(this);
    this.composer = new Composer(this);
    const header = element("header", {}, back, element("div", {}, this.heading, this.about), this.tools);
    this.node = element(
      "section",
      { class: "conversation", "aria-label": "Conversation" },
      header,
      this.list.node,
      this.composer.node,
    );
  }

  get view() {
    return this.store.conversation(this.id);
  }

  get isGroup() {
    return this.view.kind === "group";
  }

  /** Draw it, and keep it drawn until it is closed. */
  begin() {
    const { id, store } = this;
    const changed = () => this.#changed();
    const told = () => this.#drawAbout();
    const seen = () => this.markRead();
    document.addEventListener("visibilitychange", seen);
    this.#ends.push(
      store.subscribe(`conversation:${id}`, changed),
      store.subscribe(`typing:${id}`, told),
      store.subscribe(`presence:${id}`, told),
      this.names.onChange(changed),
      () => document.removeEventListener("visibilitychange", seen),
    );
    changed();
    void store.ready.then(() => this.#follow());
    void this.#load(() => store.loadOlder(id)).then(() => this.list.watch());
    if (matchMedia("(pointer: fine)").matches) this.composer.focus();
  }

  close() {
    for (const end of this.#ends.splice(0)) end();
    this.list.close();
    this.composer.close();
  }

  /** Ask how the other one is: what is open may be with somebody who is not on the list yet. */
  #follow() {
    const own = this.id === this.messenger.session.userId;
    if (!this.isGroup && !own && this.node.isConnected)
      this.#ends.push(this.messaging.subscribeToUserStatus([this.id]));
  }

  /** Mark what is in sight as read, if somebody looks. */
  markRead() {
    if (document.visibilityState === "visible" && this.list.follows && this.view.unread > 0)
      this.store.markRead(this.id);
  }

  loadOlder() {
    if (this.view.hasOlder) void this.#load(() => this.store.loadOlder(this.id)).then(() => this.list.watch());
  }

  /** @param {{ fromSeq: number, toSeq: number }} gap */
  loadGap(gap) {
    void this.#load(() => this.store.loadGap(this.id, gap));
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

  /** @param {MessageView} message */
  async remove({ messageId }) {
    if (messageId === null || !(await ask("Delete this message for everybody?", "Delete"))) return;
    this.attend(this.messaging.deleteMessage(this.id, messageId));
  }

  /**
   * Tell of a change that was refused, and drop it: it has no line of its own from which it could be tried again.
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
    if (this.#loading) return;
    this.#loading = true;
    try {
      await load();
    } catch (error) {
      if (/** @type {any} */ (error).code !== "offline") this.failed(error); // the banner tells of that
    } finally {
      this.#loading = false;
    }
  }

  #changed() {
    const { view } = this;
    fill(this.heading, view.name || this.names.of(this.id));
    if (this.isGroup && !this.tools.firstChild) {
      fill(
        this.tools,
        button("Members", () => showMembers(this.messenger, this.id), { class: "link" }),
      );
    }
    this.#drawAbout();
    this.list.show(view);
    this.markRead();
    this.#speak(view.messages.at(-1));
  }

  #drawAbout() {
    const typing = this.store.typing(this.id).filter((userId) => userId !== this.messenger.session.userId);
    const names = typing.map((userId) => this.names.of(userId));
    const status = this.isGroup ? "" : statusText(this.store.presence(this.id));
    const text =
      typing.length === 0
        ? status
        : this.isGroup
          ? `${listed(names)} ${typing.length === 1 ? "is" : "are"} typing …`
          : "typing …";
    if (this.about.textContent !== text) fill(this.about, text); // what is said again would be read out again
    this.about.classList.toggle("typing", typing.length > 0);
  }

  /**
   * Have what others said read out.
   *
   * @param {MessageView | undefined} newest
   */
  #speak(newest) {
    const known = this.#newest;
    this.#newest = newest?.key ?? "";
    if (!known || !newest || newest.key === known || newest.mine) return;
    this.messenger.notices.speak(`${this.names.of(newest.senderId)}: ${gist(newest, this.names)}`);
  }
}
