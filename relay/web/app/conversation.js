/** The open conversation: its header, its messages, and the composer. */

import { Composer } from "./composer.js";
import { ask, button, element, fill, icon } from "./dom.js";
import { isolate, listed } from "./format.js";
import { showMembers } from "./members.js";
import { MessageList } from "./message-list.js";
import { PluginPanel } from "./plugin-panel.js";
import { endText, gist, statusText } from "./texts.js";

/** @import { MessageView, SentMessage } from "../sdk/index.js" */
/** @import { Messenger } from "./messenger.js" */

export class ConversationPane {
  /** @type {(() => void)[]} */
  #ends = [];
  /** The key of the message whose reaction picker is open. @type {string | null} */
  picking = null;
  #newest = "";
  #loading = false;
  #followed = false;
  /** @type {HTMLDialogElement | null} */
  #members = null;

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
    this.end = element("div", { class: "end", hidden: true });
    this.about = element("p", { class: "about", role: "status" });
    this.tools = element("div", { class: "tools" });
    const back = button("All conversations", () => (location.hash = ""), { sign: icon("back"), class: "quiet back" });
    this.list = new MessageList(this);
    this.composer = new Composer(this);
    this.panel = new PluginPanel(id);
    const header = element("header", {}, back, element("div", {}, this.heading, this.about), this.panel.buttons, this.tools);
    this.node = element(
      "section",
      { class: "conversation", "aria-label": "Conversation" },
      header,
      this.list.node,
      this.end,
      this.composer.node,
      this.panel.node,
    );
  }

  get view() {
    return this.store.conversation(this.id);
  }

  get isGroup() {
    return this.view.kind === "group";
  }

  /** Draw the conversation, and update it until it is closed. */
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
    void this.#load(() => store.loadOlder(id)).then(() => this.list.watch());
    if (matchMedia("(pointer: fine)").matches) this.composer.focus();
  }

  close() {
    for (const end of this.#ends.splice(0)) end();
    this.list.close();
    this.composer.close();
    this.panel.close();
  }

  /** Follow the other user's status, once it is known that it is a user: a new conversation is not on the list yet. */
  #follow() {
    const { id, view } = this;
    const isUser = view.kind === "user" || (view.kind === null && this.names.isUser(id));
    if (this.#followed || !isUser || id === this.messenger.session.userId) return;
    this.#followed = true;
    this.#ends.push(this.messaging.subscribeToUserStatus([id]));
  }

  /** Mark the conversation as read, if its newest message is visible. */
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

  /** @param {number} messageId */
  closeActions(messageId) {
    this.attend(this.messaging.socketManager.sendMessage("action_close", { message_id: messageId }));
  }

  /** @param {MessageView} message */
  async remove({ messageId }) {
    if (messageId === null || !(await ask("Delete this message for everybody?", "Delete"))) return;
    this.attend(this.messaging.deleteMessage(this.id, messageId));
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
    if (this.#loading) return;
    this.#loading = true;
    try {
      await load();
    } catch (error) {
      if (/** @type {any} */ (error).code !== "offline") this.failed(error); // the banner shows that one
    } finally {
      this.#loading = false;
    }
  }

  #changed() {
    const { view } = this;
    const name = this.names.title(view);
    if (this.heading.textContent !== name) fill(this.heading, element("bdi", {}, name));
    this.#follow();
    this.#drawEnd(name);
    this.#drawTools();
    this.#drawAbout();
    this.composer.drawPluginButtons();
    this.panel.show();
    this.list.show(view);
    this.markRead();
    this.#speak(view.messages.findLast(({ state }) => state !== "streaming")); // that one is read when it is whole
  }

  #drawTools() {
    const manages = this.isGroup && !this.view.over;
    if (manages === this.tools.hasChildNodes()) return;
    const show = () => (this.#members = showMembers(this.messenger, this.id));
    fill(this.tools, manages && button("Members", show, { class: "link" }));
  }

  /** Tell a user who is no longer in the group that they can neither read nor write there, and why. @param {string} name */
  #drawEnd(name) {
    const { over, messages } = this.view;
    this.composer.node.hidden = !this.end.toggleAttribute("hidden", !over);
    this.list.node.hidden = over !== null && messages.length === 0;
    if (!over) return;
    this.#members?.close();
    const told = element("strong", {}, endText(over, name, this.names));
    const text = over.event === "deleted" ? "What was said in it is gone." : "You can no longer read what is said in it, nor write there.";
    fill(this.end, told, element("p", {}, text));
  }

  #drawAbout() {
    const typing = this.store.typing(this.id).filter((userId) => userId !== this.messenger.session.userId);
    const names = typing.map((userId) => this.names.of(userId));
    const status = this.isGroup || this.view.over ? "" : statusText(this.store.presence(this.id));
    const text =
      typing.length === 0
        ? status
        : this.isGroup
          ? `${listed(names)} ${typing.length === 1 ? "is" : "are"} typing …`
          : "typing …";
    if (this.about.textContent !== text) fill(this.about, text); // a screen reader would read the same text again
    this.about.classList.toggle("typing", typing.length > 0);
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
