/** The panel of a plugin: beside the conversation, and on a phone over it. */

import { button, element, fill, icon } from "./dom.js";
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
    this.node = element("aside", { class: "panel", hidden: true });
  }

  /** Draw what there is, with what changed in the conversation. */
  show() {
    const offered = panels(this.conversation);
    const labels = offered.map(({ label }) => label).join("\n");
    if (labels !== this.#labels) {
      this.#labels = labels;
      const toggle = (/** @type {string} */ name) => ((this.#open = this.#open === name ? "" : name), this.show());
      fill(this.buttons, ...offered.map(({ name, label }) => button(label, () => toggle(name), { class: "link" })));
    }
    const open = offered.find(({ name }) => name === this.#open);
    this.node.hidden = !open;
    if (!open || this.node.querySelector(TYPED)) return;
    const close = button("Close", () => this.close(), { sign: icon("close"), class: "quiet" });
    this.node.setAttribute("aria-label", open.label);
    const content = open.draw() ?? element("p", { class: "hint" }, "This could not be shown.");
    const focused = this.node.contains(document.activeElement) ? document.activeElement?.getAttribute("aria-label") : null;
    fill(this.node, element("header", {}, element("h2", {}, open.label), close), content);
    if (focused) /** @type {HTMLElement | null} */ (this.node.querySelector(`[aria-label="${CSS.escape(focused)}"]`))?.focus();
  }

  close() {
    this.#open = "";
    this.node.hidden = true;
    fill(this.node);
  }
}
