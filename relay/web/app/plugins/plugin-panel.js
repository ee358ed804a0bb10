/** The panel of a plugin: beside the conversation, and on a phone over it. */

import { button, element, fill, icon } from "../dom.js";
import { words } from "../words.js";
import { panels } from "./plugins.js";

/** Controls in which something may be half typed: while one has the focus, the panel stays as it is. */
const TYPED = ":is(input:not([type=checkbox], [type=radio]), textarea, select):focus";

export class PluginPanel {
  #open = "";
  #labels = "";

  /** @param {string} conversation */
  constructor(conversation) {
    this.conversation = conversation;
    this.buttons = element("div", { class: "tools" });
    this.name = element("bdi", {});
    this.closer = button(words.common.close, () => this.close(), { sign: icon("close"), class: "quiet" });
    this.content = element("div", {});
    const leave = (/** @type {KeyboardEvent} */ event) => event.key === "Escape" && this.close();
    const header = element("header", {}, element("h2", {}, this.name), this.closer);
    this.node = element("aside", { class: "panel", hidden: true, onkeydown: leave }, header, this.content);
  }

  /** Draw what there is, with what changed in the conversation. */
  show() {
    const offered = panels(this.conversation);
    this.#drawButtons(offered);
    const open = offered.find(({ name }) => name === this.#open);
    this.node.hidden = !open;
    for (const [at, toggle] of [...this.buttons.children].entries()) toggle.setAttribute("aria-expanded", String(offered[at] === open));
    if (!open || this.content.querySelector(TYPED)) return;
    const focused = this.content.contains(document.activeElement) ? document.activeElement?.getAttribute("aria-label") : null;
    fill(this.name, open.label);
    this.node.setAttribute("aria-label", open.label);
    fill(this.content, open.draw() ?? element("p", { class: "note" }, words.plugins.notShown));
    if (focused) /** @type {HTMLElement | null} */ (this.content.querySelector(`[aria-label="${CSS.escape(focused)}"]`))?.focus();
  }

  close() {
    this.#open = "";
    this.show();
    fill(this.content);
  }

  /** @param {{ name: string, label: string }[]} offered */
  #drawButtons(offered) {
    const labels = offered.map(({ label }) => label).join("\n");
    if (labels === this.#labels) return;
    this.#labels = labels;
    const toggle = (/** @type {string} */ name) => {
      this.#open = this.#open === name ? "" : name;
      this.show();
      if (this.#open) this.closer.focus();
    };
    fill(this.buttons, ...offered.map(({ name, label }) => button(label, () => toggle(name), { class: "link" })));
  }
}
