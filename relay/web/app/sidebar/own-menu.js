/** The foot of the sidebar: the user's own picture, name and status; a press opens the menu of the account. */

import { button, element, fill, icon } from "../dom.js";
import { straight } from "../format.js";
import { openMenu } from "../menu.js";
import { avatar } from "../people/avatar.js";
import { statusText } from "../texts.js";
import { words } from "../words.js";
import { addCommand, menuCommands } from "./commands.js";
import { CHOICES, OwnStatus } from "./own-status.js";
import { openShortcuts } from "./shortcuts.js";

/** @import { Messenger } from "../messenger.js" */

addCommand({ key: "shortcuts", label: () => words.sidebar.shortcuts, icon: "keyboard", hint: "?", menu: 40, press: openShortcuts });
addCommand({ key: "sign-out", label: () => words.sidebar.signOut, icon: "leave", menu: 90, danger: true, press: (messenger) => void messenger.signOut() });

export class OwnMenu {
  #end;

  /** @param {Messenger} messenger */
  constructor(messenger) {
    this.messenger = messenger;
    this.node = element("footer", { class: "me" });
    this.status = new OwnStatus(messenger, () => this.show());
    this.#end = messenger.store.subscribe("me", () => this.show());
    this.show();
  }

  close() {
    this.#end();
    this.status.close();
  }

  show() {
    const { store, session } = this.messenger;
    if (!store.me) return;
    const name = straight(store.me.display_name);
    const { status, text, until } = this.status;
    const told = status === "offline" ? words.sidebar.invisible : statusText({ userId: session.userId, status: status || "unknown", text, until, lastSeen: null });
    const focused = this.node.contains(document.activeElement);
    const opener = element(
      "button",
      {
        type: "button", class: "account", "data-status": status, "aria-haspopup": "menu", title: words.sidebar.accountMenu,
        onclick: () => this.#open(opener),
      },
      avatar(session.userId, name, status || "unknown"),
      element("span", { class: "about" }, element("strong", {}, element("bdi", {}, name)), element("span", { class: "own-status" }, told)),
      element("span", { class: "spoken" }, words.sidebar.accountMenu),
      icon("more"),
    );
    fill(this.node, opener);
    if (focused) opener.focus();
  }

  /** @param {HTMLElement} opener */
  #open(opener) {
    const choices = element(
      "div",
      { class: "statuses", role: "radiogroup", "aria-label": words.sidebar.status },
      ...CHOICES.map(([value, label]) =>
        button(label(), () => (this.status.choose(value), opened.close()), {
          role: "radio", "aria-checked": String(value === this.status.status), class: `dotted ${value}`,
        }),
      ),
    );
    const entries = menuCommands(this.messenger).map(({ label, icon: sign, hint, danger, press }) => ({
      label: label(), icon: sign, hint, danger, press: () => press(this.messenger),
    }));
    const opened = openMenu(words.sidebar.accountMenu, opener, entries, choices);
  }
}
