/** DOM helpers. Elements are made without markup, so text is always text, whoever wrote it. */

import { ICONS, TURNING } from "./icons.js";
import { words } from "./words.js";

/** @typedef {Node | string | null | undefined | false} Child */

const SVG = "http://www.w3.org/2000/svg";

/**
 * Create an element.
 *
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, any>} [attributes] `on…` are listeners; `true` sets, `false` leaves out; the rest is text
 * @param {...(Child | Child[])} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, String(value));
  }
  made.append(...present(children));
  return made;
}

/** @param {(Child | Child[])[]} children */
function present(children) {
  return /** @type {(Node | string)[]} */ (children.flat().filter((child) => child || child === ""));
}

/**
 * Replace an element's children.
 *
 * @param {Element} parent
 * @param {...(Child | Child[])} children
 */
export function fill(parent, ...children) {
  parent.replaceChildren(...present(children));
}

/**
 * Draw an icon.
 *
 * @param {string} name one of the page's own, or the id of a symbol in `file`
 * @param {string} [file] the address of an SVG file
 */
export function icon(name, file) {
  const parts = file ? [{ tag: "use", href: `${file}#${name}` }] : ICONS[name];
  const drawing = svg("svg", { class: !file && TURNING.has(name) ? "icon turning" : "icon", "aria-hidden": "true", ...(!file && { viewBox: "0 0 24 24" }) });
  for (const part of parts) {
    const { tag, ...attributes } = typeof part === "string" ? { tag: "path", d: part } : part;
    drawing.append(svg(tag, attributes));
  }
  return drawing;
}

/** Create an element of a drawing. @param {string} tag @param {Record<string, string>} attributes */
export function svg(tag, attributes) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

/**
 * Create a button.
 *
 * @param {string} label its text; with a sign, its accessible name
 * @param {() => void} press
 * @param {Record<string, any>} [attributes] `sign`, a text or an icon, is shown in place of the label
 */
export function button(label, press, { sign, ...attributes } = {}) {
  const named = sign ? { "aria-label": label, title: label } : {};
  return element("button", { type: "button", onclick: press, ...named, ...attributes }, sign ?? label);
}

/**
 * Return a control with its label above it.
 *
 * @param {string} label
 * @param {HTMLElement} control
 */
export function field(label, control) {
  return element("label", { class: "field" }, element("span", {}, label), control);
}

/**
 * Keeps the children of an element in step with a list of values. A node stays as long as its key does, and with it focus,
 * scrolling and playing media.
 *
 * @template Value
 */
export class KeyedList {
  /** @type {Map<string, { value: Value, node: HTMLElement }>} */
  #shown = new Map();

  /**
   * @param {HTMLElement} parent
   * @param {{ key: (value: Value) => string, same: (one: Value, other: Value) => boolean, draw: (value: Value) => HTMLElement }} rules
   */
  constructor(parent, rules) {
    this.parent = parent;
    this.rules = rules;
  }

  /** @param {readonly Value[]} values */
  show(values) {
    const { key, same, draw } = this.rules;
    const next = new Map();
    for (const value of values) {
      const known = this.#shown.get(key(value));
      if (known && same(known.value, value)) next.set(key(value), { value, node: known.node });
      else next.set(key(value), { value, node: exchange(known?.node, draw(value)) });
    }
    for (const [gone, { node }] of this.#shown) if (!next.has(gone)) node.remove();
    /** @type {Element | null} */
    let place = this.parent.firstElementChild;
    for (const { node } of next.values()) {
      if (node === place) place = node.nextElementSibling;
      else this.parent.insertBefore(node, place);
    }
    this.#shown = next;
  }

  /** @param {string} key */
  node(key) {
    return this.#shown.get(key)?.node;
  }
}

/**
 * Replace a node with a new one. If a button in it has the focus, the new button of the same name gets it.
 *
 * @param {HTMLElement | undefined} old
 * @param {HTMLElement} made
 */
function exchange(old, made) {
  const focused = old?.contains(document.activeElement) ? document.activeElement : null;
  old?.replaceWith(made);
  if (focused === old && old) made.focus();
  const label = focused?.getAttribute("aria-label");
  if (label) /** @type {HTMLElement | null} */ (made.querySelector(`[aria-label="${CSS.escape(label)}"]`))?.focus();
  return made;
}

/**
 * Show a dialog until it is closed.
 *
 * @param {string} title
 * @param {...Child} children
 */
export function openDialog(title, ...children) {
  const heading = element("h2", {}, title);
  const close = button(words.common.close, () => dialog.close(), { sign: icon("close"), class: "quiet" });
  const dialog = element("dialog", { "aria-label": title }, element("header", {}, heading, close), ...children);
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/**
 * Ask before something that cannot be taken back.
 *
 * @param {string} question
 * @param {string} yes what the button says
 * @param {string} [why] what follows from it
 * @returns {Promise<boolean>}
 */
export function ask(question, yes, why = "") {
  return new Promise((resolve) => {
    let answer = false;
    const agree = () => ((answer = true), dialog.close());
    const choice = element(
      "p",
      { class: "choice" },
      button(words.common.cancel, () => dialog.close(), { autofocus: true }),
      button(yes, agree, { class: "danger" }),
    );
    const dialog = openDialog(question, why && element("p", {}, why), choice);
    dialog.addEventListener("close", () => resolve(answer));
  });
}
