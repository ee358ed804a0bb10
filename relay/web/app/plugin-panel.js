/** The panel of a plugin: beside the conversation, and on a phone over it. */

import { button, element, fill, icon } from "./dom.js";
import { panels } from "./plugins.js";

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
    if (!open || this.node.querySelector("input:focus, textarea:focus, select:focus")) return; // what is typed stays
    const close = button("Close", () => this.close(), { sign: icon("close"), class: "quiet" });
    this.node.setAttribute("aria-label", open.label);
    const content = open.draw() ?? element("p", { class: "hint" }, "This could not be shown.");
    fill(this.node, element("header", {}, element("h2", {}, open.label), close), content);
  }

  close() {
    this.#open = "";
    this.node.hidden = true;
    fill(this.node);
  }
}
