/** The composer: new messages with text and files, answers, edits of own messages. What is written is the store's draft. */

import { ask, button, element, fill, icon } from "../dom.js";
import { pickEmoji } from "../emoji/picker.js";
import { isolate } from "../format.js";
import { composerActions } from "../plugins/plugins.js";
import { problem } from "../problems.js";
import { waitText } from "../moderation/slow-mode.js";
import { gist, isTalk } from "../texts.js";
import { words } from "../words.js";
import { ChosenFiles, admit, namedFile } from "./chosen.js";
import { CharacterCount } from "./character-count.js";
import { Completion } from "./completion.js";
import { takeDrops } from "./drop.js";
import { emojiNames } from "./emoji-names.js";
import { Mentions } from "./mentions.js";
import { SlashCommands } from "./slash-commands.js";
import { MARKS, grow, insert, replace, wrapped } from "./typing.js";
import { VoiceRecorder, canRecord } from "./voice.js";

/** @import { MessageView } from "../../sdk/index.js" */
/** @import { DraftChange, DraftView } from "../../sdk/store/drafts.js" */
/** @import { ConversationPane } from "../conversation/conversation.js" */
/** @import { ThreadPane } from "../threads/thread-pane.js" */

/** The keys that move the caret to another word. */
const MOVES = new Set(["ArrowLeft", "ArrowRight", "Home", "End"]);
const TOUCH = matchMedia("(pointer: coarse)");

export class Composer {
  /** @type {(() => void)[]} */
  #ends = [];
  #labels = "";
  /** What the line above the text was drawn for. */
  #about = "";
  /** The message to answer, where it was chosen on this page. @type {MessageView | null} */
  #answered = null;
  /** @type {VoiceRecorder | null} */
  #voice = null;

  /** @param {ConversationPane | ThreadPane} pane */
  constructor(pane) {
    this.pane = pane;
    const { names, store } = pane;
    const label = pane.thread === undefined ? words.composer.message : words.threads.write;
    this.text = element("textarea", {
      rows: 1,
      placeholder: label,
      "aria-label": label,
      dir: "auto",
      autocomplete: "off",
      enterkeyhint: TOUCH.matches ? "enter" : "send",
      oninput: () => this.#typed(),
      onclick: () => this.completion.typed(),
      onkeyup: (/** @type {KeyboardEvent} */ { key }) => MOVES.has(key) && this.completion.typed(),
      onblur: () => this.completion.close(),
      onkeydown: (/** @type {KeyboardEvent} */ event) => this.#key(event),
      onpaste: (/** @type {ClipboardEvent} */ event) => this.#paste(event),
    });
    const place = /** @type {ConversationPane} */ (pane); // a thread has what they ask for
    this.commands = new SlashCommands(place, this.text);
    this.mentions = new Mentions(place);
    this.completion = new Completion(this.text, [this.commands.source, this.mentions.source, emojiNames]);
    this.about = element("div", { class: "about" });
    this.chosen = new ChosenFiles((file) => this.#change({ files: this.#draft.files.filter((one) => one !== file) }));
    this.told = element("p", { class: "failure", role: "alert" });
    this.wait = element("p", { class: "note wait", role: "timer" });
    this.count = new CharacterCount(this.text, () => pane.messaging.socketManager.limits);
    const smile = button(words.composer.emoji, () => void this.#pickEmoji(smile), { sign: icon("react"), class: "quiet", "aria-haspopup": "dialog" });
    const picker = this.#makePicker();
    this.attach = button(words.composer.attach, () => picker.click(), { sign: icon("file"), class: "quiet" });
    this.pluginButtons = element("span", { class: "plugin-buttons" });
    this.send = element("button", { class: "primary send", "aria-label": words.composer.send, title: words.composer.send }, icon("send"));
    this.record = button(words.composer.record, () => this.#record(), { sign: icon("microphone"), class: "quiet", hidden: true });
    this.line = element("div", { class: "line" }, this.attach, picker, smile, this.pluginButtons, this.text, this.record, this.send);
    this.node = element(
      "form",
      { class: "composer", onsubmit: (/** @type {Event} */ event) => (event.preventDefault(), void this.#send()) },
      this.completion.node,
      this.commands.usage,
      this.about,
      this.chosen.node,
      this.told,
      this.wait,
      this.count.node,
      this.line,
    );
    this.#ends.push(
      store.subscribe(`draft:${this.#name}`, () => this.#draw()),
      names.onChange(() => this.completion.renew()),
      pane.messenger.slowMode.onChange(() => this.#drawState()),
      takeDrops(() => (this.node.hidden ? null : this.node.closest(".thread, .conversation")), (files) => this.#add(files)),
    );
    this.#draw();
  }

  #makePicker() {
    const picker = element("input", {
      type: "file",
      multiple: true,
      hidden: true,
      "aria-label": words.composer.chooseFiles,
      onchange: () => {
        this.#add([...(picker.files ?? [])]);
        picker.value = "";
      },
    });
    return picker;
  }

  /** Draw what may have changed with the conversation: the buttons of plugins, the message that is answered. */
  show() {
    const actions = this.pane.thread === undefined ? composerActions(this.pane.id) : []; // what they send goes to the conversation
    const labels = actions.map(({ label }) => label).join("\n");
    if (labels !== this.#labels) {
      this.#labels = labels;
      fill(this.pluginButtons, ...actions.map(({ label, sign, press }) => button(label, press, { sign: sign ?? icon("new"), class: "quiet" })));
    }
    this.#drawAbout();
    this.#drawState();
    this.#know();
  }

  focus() {
    this.text.focus();
  }

  close() {
    for (const end of this.#ends.splice(0)) end();
    this.#voice?.close();
    this.chosen.close();
  }

  /** @param {MessageView} message */
  reply(message) {
    if (message.messageId === null) return;
    this.#answered = message;
    this.#change({ replyTo: message.messageId, edit: null });
    this.focus();
  }

  /** Change a message, beside the draft. @param {MessageView} message */
  edit({ messageId, payload }) {
    if (messageId === null) return;
    this.#change({ edit: { messageId, text: payload.content ?? "" } });
    this.focus();
    this.text.setSelectionRange(this.text.value.length, this.text.value.length);
  }

  /**
   * Put what could not be sent back into the draft, before what is there.
   *
   * @param {{ text: string, files?: File[], replyTo?: number | null }} message
   */
  handBack({ text, files = [], replyTo = null }) {
    const draft = this.#draft;
    const whole = [text, draft.text].filter(Boolean).join("\n");
    this.#change({ text: whole, files: [...files, ...draft.files], replyTo: draft.replyTo ?? replyTo, edit: null });
    this.focus();
  }

  // ---- the draft

  /** The name of the draft: that of the conversation, or of a thread in it. */
  get #name() {
    return this.pane.draftKey;
  }

  get #draft() {
    return this.pane.store.draft(this.#name);
  }

  /** @param {DraftChange} change */
  #change(change) {
    this.pane.store.setDraft(this.#name, change);
    this.#draw();
  }

  #draw() {
    const { edit, files, text } = this.#draft;
    const shown = edit?.text ?? text;
    if (this.text.value !== shown) this.text.value = shown;
    grow(this.text);
    this.#know();
    this.chosen.show(edit ? [] : /** @type {File[]} */ (files));
    this.#drawAbout();
    this.#drawState();
  }

  /** Draw what is answered or changed, on one line. */
  #drawAbout() {
    const { edit, replyTo } = this.#draft;
    const answered = edit || replyTo === null ? null : this.#find(replyTo);
    const about = edit ? `edit ${edit.messageId}` : replyTo === null ? "" : `reply ${replyTo} ${answered !== null} ${this.pane.names.version}`;
    if (about === this.#about) return;
    this.#about = about;
    this.node?.classList.toggle("editing", edit !== null);
    const what = edit ? words.composer.editing : this.#answerText(answered);
    const cancel = () => this.#leave();
    const close = button(edit ? words.composer.cancelEdit : words.composer.cancelReply, cancel, { sign: icon("close"), class: "quiet" });
    fill(this.about, ...(about ? [element("span", { dir: "auto" }, what), close] : []));
  }

  /** @param {MessageView | null} message */
  #answerText(message) {
    const { names } = this.pane;
    if (!message) return words.composer.answerToEarlier;
    return words.composer.answerTo(isolate(names.of(message.senderId)), isolate(gist(message, names)));
  }

  /** @param {number} messageId */
  #find(messageId) {
    if (this.#answered?.messageId === messageId) return this.#answered;
    this.#answered = this.pane.view.messages.find((one) => one.messageId === messageId) ?? null;
    return this.#answered;
  }

  /** Draw the buttons as the draft needs them, and how many characters are left. */
  #drawState() {
    const { edit, files } = this.#draft;
    const empty = this.text.value.trim() === "";
    const records = canRecord() && !edit && empty && files.length === 0;
    this.record.hidden = !records;
    this.send.hidden = records;
    this.attach.hidden = edit !== null;
    const label = edit ? words.composer.saveEdit : words.composer.send;
    if (this.send.title !== label) {
      this.send.title = label;
      this.send.setAttribute("aria-label", label);
      fill(this.send, icon(edit ? "check" : "send"));
    }
    const left = edit ? 0 : this.pane.messenger.slowMode.left(this.pane.id);
    this.send.disabled = left > 0;
    fill(this.wait, left > 0 && waitText(left));
    this.count.show();
  }

  /** Have those known who may be mentioned, before a text with an `@` is sent. */
  #know() {
    if (this.text.value.includes("@")) this.mentions.load().catch(() => {}); // without a network there are those who said something
  }

  /** Leave what was begun: an edit at first, then an answer. */
  #leave() {
    this.#change(this.#draft.edit ? { edit: null } : { replyTo: null });
    this.focus();
  }

  // ---- keys and files

  #typed() {
    const { edit } = this.#draft;
    const text = this.text.value;
    fill(this.told);
    this.#change(edit ? { edit: { ...edit, text } } : { text });
    this.commands.typed();
    this.completion.typed();
    this.pane.messaging.sendTyping(this.pane.id, text !== "");
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    // The Enter that ends a composition of an input method sends nothing. Safari says so by the key's code alone.
    if (event.isComposing || event.keyCode === 229) return;
    const { key, shiftKey, ctrlKey, metaKey, altKey } = event;
    const mark = (ctrlKey || metaKey) && !altKey && !shiftKey ? MARKS[key.toLowerCase()] : undefined;
    if (this.completion.key(event)) event.preventDefault();
    else if (mark) {
      event.preventDefault();
      this.#wrap(mark);
    } else if (key === "Enter" && !shiftKey && (!TOUCH.matches || ctrlKey || metaKey)) {
      event.preventDefault();
      void this.#send();
    } else if (key === "Escape" && (this.#draft.edit || this.#draft.replyTo !== null)) {
      event.stopPropagation();
      this.#leave();
    } else if (key === "ArrowUp" && this.text.value === "") this.#editLast(event);
  }

  /** @param {string} mark */
  #wrap(mark) {
    const { selectionStart: from, selectionEnd: to, value } = this.text;
    const { range, text, selected } = wrapped(value, { from, to }, mark);
    replace(this.text, range, text);
    this.text.setSelectionRange(selected.from, selected.to);
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

  /** @param {ClipboardEvent} event */
  #paste(event) {
    const data = event.clipboardData;
    // An office program gives a picture of the text as well; whoever pastes means the text.
    const isText = data?.types.includes("text/plain") && data.types.includes("text/html");
    if (!data?.files.length || isText) return;
    event.preventDefault();
    this.#add([...data.files]);
  }

  /** @param {Blob[]} more */
  #add(more) {
    const { attachment_bytes: bytes } = this.pane.messaging.socketManager.limits;
    const held = /** @type {File[]} */ (this.#draft.files);
    const { files, refused } = admit(held, more.map(namedFile), bytes);
    fill(this.told, refused.join(" "));
    this.#change({ files, edit: null });
    this.focus();
  }

  /** @param {HTMLElement} anchor */
  async #pickEmoji(anchor) {
    const { selectionStart, selectionEnd } = this.text;
    const emoji = await pickEmoji(anchor);
    if (emoji === null) return;
    this.text.focus();
    this.text.setSelectionRange(selectionStart, selectionEnd); // a dialog gives the focus back to the button
    insert(this.text, emoji);
  }

  #record() {
    const shut = () => {
      this.#voice = null;
      this.line.hidden = false;
      this.focus();
    };
    const failed = (/** @type {string} */ text) => fill(this.told, text);
    const send = (/** @type {File} */ file) => {
      this.#change({ files: [...this.#draft.files, file] });
      void this.#send();
    };
    this.#voice = new VoiceRecorder({ send, failed, closed: shut });
    fill(this.told);
    this.line.hidden = true;
    this.node.append(this.#voice.node);
    void this.#voice.begin();
  }

  // ---- sending

  async #send() {
    const { edit, files, replyTo } = this.#draft;
    const { list, store } = this.pane;
    const content = this.text.value.trim();
    if (this.count.left < 0) return this.focus(); // the line above says by how many characters
    if (edit) return this.#sendEdit({ ...edit, text: content });
    if (!content && files.length === 0) return;
    this.completion.close();
    if (files.length === 0 && replyTo === null && this.commands.send(content)) {
      this.#change({ text: "" });
      return this.commands.typed();
    }
    if (this.send.disabled) return this.focus(); // the line above says how long that is
    store.setDraft(this.#name, { text: this.text.value });
    const mentions = this.mentions.of(content);
    const sent = store.sendDraft(this.#name, { ...(mentions.length > 0 && { mentions }), ...this.pane.sending?.() });
    sent.catch(() => {}); // its line in the conversation shows the error, with a retry button
    if (sent.state === "failed") fill(this.told, problem(sent.error));
    this.#draw();
    this.commands.typed();
    list.goToEnd();
  }

  /** @param {NonNullable<DraftView["edit"]>} edit */
  async #sendEdit(edit) {
    const { id, messaging, store, view } = this.pane;
    const before = view.messages.find(({ messageId }) => messageId === edit.messageId)?.payload;
    if (!edit.text && !before?.attachments?.length) {
      if (!(await ask(words.composer.deleteEmpty, words.composer.delete))) return this.focus();
      this.pane.attend(messaging.deleteMessage(id, edit.messageId));
    } else if (edit.text !== before?.content) {
      const mentions = this.mentions.of(edit.text);
      const changed = mentions.length > 0 || before?.mentions?.length ? { mentions } : {};
      const sent = messaging.editMessage(id, edit.messageId, edit.text, changed);
      sent.catch(() => store.draft(this.#name).edit ?? store.setDraft(this.#name, { edit })); // what was refused is not lost
      this.pane.attend(sent);
    }
    this.#change({ edit: null });
    this.focus();
  }
}
