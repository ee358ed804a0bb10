/** The place beside a conversation, over it where the window is narrow: one panel at a time. */

import { element } from "../dom.js";

/**
 * @typedef {object} SidePanel
 * @property {HTMLElement} node with the class `panel`, and a name
 * @property {() => void} close ends it; the node is taken away after that
 */

export class Side {
  /** @type {SidePanel | null} */
  #panel = null;
  /** @type {Element | null} what had the focus before */
  #before = null;
  #opened;

  /** @param {() => void} opened called when a panel is opened: others close */
  constructor(opened) {
    this.#opened = opened;
    this.node = element("div", { class: "side", onkeydown: (/** @type {KeyboardEvent} */ event) => this.#key(event) });
  }

  /** The panel that is open. */
  get panel() {
    return this.#panel;
  }

  /** Open a panel, in the place of another one. Escape closes it. @param {SidePanel} panel */
  open(panel) {
    const before = this.#panel ? this.#before : document.activeElement;
    this.#end();
    this.#opened();
    this.#panel = panel;
    this.#before = before;
    this.node.append(panel.node);
  }

  /** Close the panel, and give the focus back to what had it before. */
  close() {
    if (!this.#panel) return;
    const within = this.node.contains(document.activeElement) || document.activeElement === document.body;
    this.#end();
    if (within && this.#before instanceof HTMLElement && this.#before.isConnected) this.#before.focus();
  }

  #end() {
    const panel = this.#panel;
    this.#panel = null;
    panel?.close();
    panel?.node.remove();
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.key !== "Escape" || event.defaultPrevented) return;
    event.preventDefault();
    this.close();
  }
}
