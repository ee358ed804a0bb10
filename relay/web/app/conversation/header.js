/** The header of a conversation: whose it is, how they are, and its menu. */

import { button, element, fill, icon } from "../dom.js";
import { listed } from "../format.js";
import { slowModeText } from "../moderation/slow-mode.js";
import { avatar } from "../people/avatar.js";
import { statusText } from "../texts.js";
import { words } from "../words.js";
import { aboutOf, menuButton } from "./menu.js";

/** @import { ConversationPane } from "./conversation.js" */

export class Header {
  #face = "";

  /** @param {ConversationPane} pane @param {HTMLElement} plugins the buttons of plugins' panels */
  constructor(pane, plugins) {
    this.pane = pane;
    const open = () => aboutOf(pane)?.(pane);
    this.name = element("button", { type: "button", class: "name", onclick: open });
    this.about = element("p", { class: "about", role: "status" });
    this.face = element("div", { class: "face", onclick: open });
    const back = button(words.conversation.back, () => (location.hash = ""), { sign: icon("back"), class: "quiet back" });
    this.members = button(words.conversation.members, () => open(), { sign: icon("people"), class: "quiet", hidden: true });
    const who = element("div", { class: "who" }, element("h2", { "aria-level": 1 }, this.name), this.about);
    this.node = element("header", {}, back, this.face, who, plugins, element("div", { class: "tools" }, this.members, menuButton(pane)));
  }

  /** Draw what there is. @param {string} name the conversation's */
  show(name) {
    const { pane } = this;
    if (this.name.textContent !== name) fill(this.name, element("bdi", {}, name));
    const isOver = pane.view.over !== null;
    this.name.disabled = isOver || aboutOf(pane) === undefined;
    this.face.toggleAttribute("data-opens", !this.name.disabled);
    this.members.hidden = !pane.isGroup || isOver;
    const status = pane.isGroup || isOver ? undefined : pane.store.presence(pane.id).status;
    const face = `${name}\n${status}`;
    if (face !== this.#face) fill(this.face, avatar(pane.id, name, status));
    this.#face = face;
    this.showAbout();
  }

  /** Draw how the other user is, or who types. */
  showAbout() {
    const { id, isGroup, messenger, names, store, view } = this.pane;
    const typing = store.typing(id).filter((userId) => userId !== messenger.session.userId);
    const slow = view.slowModeSeconds > 0 && !view.closed ? slowModeText(view.slowModeSeconds) : "";
    const status = view.over ? "" : isGroup ? slow : statusText(store.presence(id));
    const { groupTyping, typing: here } = words.conversation;
    const text = typing.length === 0 ? status : isGroup ? groupTyping(listed(typing.map((one) => names.of(one))), typing.length) : here;
    if (this.about.textContent !== text) fill(this.about, text); // a screen reader would read the same text again
    this.about.classList.toggle("typing", typing.length > 0);
  }
}
