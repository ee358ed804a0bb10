/** Menus that float: below what opened them, or from the lower edge of the window where one points with a finger. */

import { element, icon, openDialog } from "./dom.js";

/**
 * @typedef {object} MenuEntry
 * @property {string} label
 * @property {string | Element} [icon] a name of icons.js, or an element
 * @property {boolean} [danger] whether it cannot be taken back
 * @property {string} [hint] the key that does the same
 * @property {() => unknown} press
 */

/** @typedef {Element | { x: number, y: number }} Anchor what a menu belongs to, or a place in the window */

const GAP_PIXELS = 4;
const EDGE_PIXELS = 8;

/** Tell whether one points with a finger: then what is to be pressed is large. */
export function isTouch() {
  return matchMedia("(pointer: coarse)").matches;
}

/**
 * Open a menu. Escape and a press elsewhere close it, and the focus goes back to where it was.
 *
 * @param {string} title its accessible name; the heading of a sheet
 * @param {Anchor} anchor
 * @param {MenuEntry[]} entries
 * @param {HTMLElement | null} [above] more to choose from, drawn above the entries
 * @returns {{ close(): void }}
 */
export function openMenu(title, anchor, entries, above = null) {
  const list = element("div", { class: "menu", role: "menu", "aria-label": title, onkeydown: walk });
  const choose = (/** @type {MenuEntry} */ entry) => {
    opened.close();
    entry.press();
  };
  list.append(...entries.map((entry) => drawEntry(entry, choose)));
  const opened = isTouch() ? openSheet(title, above, list) : openFloat(anchor, above, list);
  if (!isTouch()) /** @type {HTMLElement | null} */ (list.firstElementChild)?.focus({ preventScroll: true });
  return opened;
}

/** @param {MenuEntry} entry @param {(entry: MenuEntry) => void} choose */
function drawEntry(entry, choose) {
  const sign = typeof entry.icon === "string" ? icon(entry.icon) : (entry.icon ?? null);
  return element(
    "button",
    { type: "button", role: "menuitem", tabindex: -1, class: entry.danger && "grave", onclick: () => choose(entry) },
    element("span", { class: "sign", "aria-hidden": "true" }, sign),
    element("span", { class: "label" }, entry.label),
    entry.hint && element("kbd", { "aria-hidden": "true" }, entry.hint),
  );
}

/**
 * Open a box that floats beside its anchor, above everything. Escape and a press elsewhere close it.
 *
 * @param {Anchor} anchor
 * @param {...(HTMLElement | null)} content
 * @returns {{ node: HTMLElement, close(): void }}
 */
export function openFloat(anchor, ...content) {
  const before = document.activeElement;
  const node = element("div", { class: "float", popover: "auto" });
  node.append(...content.filter((one) => one !== null));
  const close = () => node.isConnected && node.hidePopover();
  node.addEventListener("toggle", (event) => {
    if (/** @type {ToggleEvent} */ (event).newState === "closed") node.remove();
  });
  node.addEventListener("beforetoggle", (event) => {
    if (/** @type {ToggleEvent} */ (event).newState !== "closed") return;
    removeEventListener("resize", close);
    if (node.contains(document.activeElement) && before?.isConnected) /** @type {HTMLElement} */ (before).focus({ preventScroll: true });
  });
  node.addEventListener("keydown", (event) => event.key === "Tab" && keepInside(node, event));
  addEventListener("resize", close);
  hostOf(anchor).append(node);
  node.showPopover();
  place(node, anchor);
  return { node, close };
}

/**
 * Open a sheet at the lower edge of the window.
 *
 * @param {string} title
 * @param {...(HTMLElement | null)} content
 * @returns {{ node: HTMLElement, close(): void }}
 */
export function openSheet(title, ...content) {
  const dialog = openDialog(title, ...content);
  dialog.classList.add("sheet");
  return { node: dialog, close: () => dialog.close() };
}

/** Return where a float is put in the document: within a dialog that is open, all else is out of reach. @param {Anchor} anchor */
function hostOf(anchor) {
  return (anchor instanceof Element && anchor.closest("dialog, main, .sidebar")) || document.querySelector("main") || document.body;
}

/** @param {HTMLElement} node @param {Anchor} anchor */
function place(node, anchor) {
  const { top, bottom, left, right } =
    anchor instanceof Element ? anchor.getBoundingClientRect() : { top: anchor.y, bottom: anchor.y, left: anchor.x, right: anchor.x };
  const { offsetWidth: width, offsetHeight: height } = node;
  const below = bottom + GAP_PIXELS + height <= innerHeight - EDGE_PIXELS;
  const y = below ? bottom + GAP_PIXELS : top - GAP_PIXELS - height;
  const fromLeft = (left + right) / 2 < innerWidth / 2;
  const x = fromLeft ? left : right - width;
  node.style.top = `${Math.round(Math.max(EDGE_PIXELS, Math.min(y, innerHeight - height - EDGE_PIXELS)))}px`;
  node.style.left = `${Math.round(Math.max(EDGE_PIXELS, Math.min(x, innerWidth - width - EDGE_PIXELS)))}px`;
}

/** Walk a menu by its keys. @param {KeyboardEvent} event */
function walk(event) {
  const list = /** @type {HTMLElement} */ (event.currentTarget);
  const items = /** @type {HTMLElement[]} */ ([...list.children]);
  const at = items.indexOf(/** @type {HTMLElement} */ (document.activeElement));
  const to = { ArrowDown: at + 1, ArrowUp: at - 1 + (at < 0 ? 1 : 0), Home: 0, End: -1 }[event.key] ?? byLetter(items, at, event);
  if (to === undefined) return;
  event.preventDefault();
  items.at(to % items.length)?.focus();
}

/** @param {HTMLElement[]} items @param {number} at @param {KeyboardEvent} event */
function byLetter(items, at, { key, ctrlKey, metaKey, altKey }) {
  if (key.length !== 1 || key === " " || ctrlKey || metaKey || altKey) return undefined;
  const wanted = key.toLocaleLowerCase();
  const order = [...items.keys()].map((one) => (at + 1 + one) % items.length);
  return order.find((one) => items[one].querySelector(".label")?.textContent?.toLocaleLowerCase().startsWith(wanted));
}

/** Keep the focus in a float while it is open. @param {HTMLElement} node @param {KeyboardEvent} event */
function keepInside(node, event) {
  const stops = /** @type {HTMLElement[]} */ ([...node.querySelectorAll("button:not([tabindex='-1']), input, [tabindex='0']")]);
  event.preventDefault();
  if (stops.length === 0) return;
  const at = stops.indexOf(/** @type {HTMLElement} */ (document.activeElement));
  stops[(at + (event.shiftKey ? stops.length - 1 : 1)) % stops.length].focus();
}
