/** The composer: new messages with text and files, replies, and edits of own messages. */

import { button, element, fill, icon } from "./dom.js";
import { isolate, size, straight } from "./format.js";
import { composerActions } from "./plugins.js";
import { SlashCommands } from "./slash-commands.js";
import { gist, isTalk } from "./texts.js";

/** @import { MessageView } from "../sdk/index.js" */
/** @import { ConversationPane } from "./conversation.js" */

export class Composer {
  /** @type {File[]} */
  #files = [];
  /** @type {MessageView | null} */
  #answers = null;
  /** @type {MessageView | null} */
  #edits = null;
  #labels = "";

  /** @param {ConversationPane} pane */
  constructor(pane) {
    this.pane = pane;
    this.text = element("textarea", {
      rows: 1,
      placeholder: "Message",
      "aria-label": "Message",
      dir: "auto",
      autocomplete: "off",
      enterkeyhint: "send",
      oninput: () => this.#typed(),
      onkeydown: (/** @type {KeyboardEvent} */ event) => this.#key(event),
      onpaste: (/** @type {ClipboardEvent} */ event) => this.#take(event, event.clipboardData),
    });
    this.text.value = pane.messenger.drafts.get(pane.id) ?? "";
    this.commands = new SlashCommands(pane, this.text);
    this.about = element("div", { class: "about" });
    this.chosen = element("ul", { class: "chosen", "aria-label": "Files to send" });
    const picker = element("input", {
      type: "file",
      multiple: true,
      hidden: true,
      "aria-label": "Choose files",
      onchange: () => {
        this.#add(picker.files ?? []);
        picker.value = "";
      },
    });
    const attach = button("Attach files", () => picker.click(), { sign: icon("file"), class: "quiet" });
    const send = element("button", { class: "primary send", "aria-label": "Send", title: "Send" }, icon("send"));
    this.pluginButtons = element("span", { class: "plugin-buttons" });
    this.node = element(
      "form",
      {
        class: "composer",
        onsubmit: (/** @type {Event} */ event) => (event.preventDefault(), this.#send()),
        ondragover: (/** @type {DragEvent} */ event) => event.preventDefault(),
        ondrop: (/** @type {DragEvent} */ event) => this.#take(event, event.dataTransfer),
      },
      this.commands.node,
      this.about,
      this.chosen,
      element("div", { class: "line" }, attach, picker, this.pluginButtons, this.text, send),
    );
  }

  /** Draw the buttons of plugins. */
  drawPluginButtons() {
    const actions = composerActions(this.pane.id);
    const labels = actions.map(({ label }) => label).join("\n");
    if (labels === this.#labels) return;
    this.#labels = labels;
    fill(this.pluginButtons, ...actions.map(({ label, sign, press }) => button(label, press, { sign: sign ?? icon("new"), class: "quiet" })));
  }

  focus() {
    this.text.focus();
  }

  close() {
    if (!this.#edits) this.pane.messenger.drafts.set(this.pane.id, this.text.value);
  }

  /** @param {MessageView} message */
  reply(message) {
    this.#clear();
    this.#answers = message;
    const { names } = this.pane;
    this.#begin(`Answer to ${isolate(names.of(message.senderId))}: ${isolate(gist(message, names))}`);
  }

  /** @param {MessageView} message */
  edit(message) {
    this.#clear();
    this.#edits = message;
    this.text.value = message.payload.content ?? "";
    this.#begin("Change this message");
  }

  /** @param {string} what */
  #begin(what) {
    fill(
      this.about,
      element("span", {}, what),
      button("Cancel", () => this.#clear(), { sign: icon("close"), class: "quiet" }),
    );
    this.focus();
  }

  #clear() {
    if (this.#edits) this.text.value = "";
    this.#answers = this.#edits = null;
    fill(this.about);
  }

  #typed() {
    this.commands.typed();
    this.pane.messaging.sendTyping(this.pane.id, this.text.value !== "");
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.isComposing) return;
    if (this.commands.key(event)) event.preventDefault();
    else if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      this.#send();
    } else if (event.key === "Escape") this.#clear();
    else if (event.key === "ArrowUp" && this.text.value === "") this.#editLast(event);
  }

  /** @param {KeyboardEvent} event */
  #editLast(event) {
    const last = this.pane.view.messages.findLast(
      (one) => one.mine && one.messageId !== null && one.deletedAt === null && isTalk(one) && one.payload.content,
    );
    if (!last) return;
    event.preventDefault();
    this.edit(last);
  }

  /**
   * Add the files that were pasted or dropped.
   *
   * @param {Event} event
   * @param {DataTransfer | null} data
   */
  #take(event, data) {
    if (!data?.files.length) return;
    event.preventDefault();
    this.#add(data.files);
  }

  /** @param {Iterable<File>} files */
  #add(files) {
    this.#files.push(...files);
    this.#drawFiles();
    this.focus();
  }

  #drawFiles() {
    fill(
      this.chosen,
      ...this.#files.map((file) => {
        const drop = () => {
          this.#files = this.#files.filter((one) => one !== file);
          this.#drawFiles();
        };
        return element(
          "li",
          {},
          element("bdi", {}, straight(file.name)),
          ` (${size(file.size)})`,
          button(`Remove ${isolate(file.name)}`, drop, { sign: icon("close"), class: "quiet" }),
        );
      }),
    );
  }

  #send() {
    const { id, messaging, isGroup, list } = this.pane;
    const content = this.text.value.trim();
    const edited = this.#edits;
    if (edited) {
      if (content && content !== edited.payload.content)
        this.pane.attend(messaging.editMessage(id, edited.messageId ?? 0, content));
      return this.#clear();
    }
    if (!content && this.#files.length === 0) return;
    if (this.#files.length === 0 && !this.#answers && this.commands.send(content)) {
      this.text.value = "";
      return this.commands.typed();
    }
    const options = this.#answers?.messageId ? { replyTo: this.#answers.messageId } : {};
    const files = this.#files;
    const sent = isGroup
      ? messaging.sendGroupMessage(id, content, files, options)
      : messaging.sendPrivateMessage(id, content, files, options);
    sent.catch(() => {}); // its line in the conversation shows the error, with a retry button
    this.text.value = "";
    this.#files = [];
    this.#drawFiles();
    this.#clear();
    this.commands.typed();
    list.goToEnd();
  }
}
