/**
 * The toolbar over a message: one for the page, at the message under the pointer or with the focus. It floats, so that
 * nothing moves when it comes. With a finger a tap shows it, and a long press opens all of it as a sheet.
 */

import { button, element, fill, icon } from "../dom.js";
import { onLongPress } from "../long-press.js";
import { isTouch, openMenu } from "../menu.js";
import { addShortcuts } from "../sidebar/shortcuts.js";
import { words } from "../words.js";
import { actionsOf, messageLetters } from "./message-actions.js";
import { quickRow } from "./reactions.js";

/** @import { MessageView } from "../../sdk/index.js" */
/** @import { ConversationPane } from "./conversation.js" */
/** @import { BoundAction } from "./message-actions.js" */

/** @typedef {{ message: MessageView, pane: ConversationPane }} Drawn */

/** So many actions are buttons, of those of a low order; the others are in the menu. */
const BUTTONS = 4;
const LAST_BUTTON = 100;
const GAP_PIXELS = 6;
const EDGE_PIXELS = 4;
/** How far the toolbar covers the bubble that leaves no room beside it; with a finger it is larger, and covers none. */
const OVERLAP_PIXELS = 10;
const CONTROLS = "a, button, input, select, textarea, summary, audio, video, img, [role='button'], [data-plugin]";

/** What each line shows. @type {WeakMap<Element, Drawn>} */
const drawn = new WeakMap();
/** @type {HTMLElement | null} */
let bar = null;
/** The line at which the toolbar is. @type {HTMLElement | null} */
let at = null;
/** Whether a keyboard brought it: then Tab leads from the line into it. */
let byKeys = false;

/**
 * Note what a line shows, also when it is drawn anew in the place of another.
 *
 * @param {HTMLElement} line
 * @param {MessageView} message
 * @param {ConversationPane} pane
 */
export function offerActions(line, message, pane) {
  if (!bar) begin();
  drawn.set(line, { message, pane });
  const shown = at && drawn.get(at);
  if (shown?.message.key !== message.key || shown.pane !== pane) return;
  queueMicrotask(() => line.isConnected && show(line, byKeys)); // once it has taken the place of the old one
}

function begin() {
  bar = element("div", { class: "toolbar", role: "toolbar", "aria-label": words.message.toolbar, hidden: true, onkeydown: walk });
  document.addEventListener("pointerover", pointed);
  document.documentElement.addEventListener("pointerleave", () => !isHeld() && hide());
  document.addEventListener("focusin", focused);
  document.addEventListener("scroll", () => at && place(), { capture: true, passive: true });
  document.addEventListener("keydown", pressedKey);
  document.addEventListener("click", tapped);
  onLongPress(document, (target) => {
    const line = lineOf(target);
    return line !== null && openAll(line);
  });
}

/** @param {EventTarget | null} target @returns {HTMLElement | null} */
function lineOf(target) {
  const line = target instanceof Element ? target.closest("li.message") : null;
  return line && drawn.has(line) ? /** @type {HTMLElement} */ (line) : null;
}

/** Tell whether the toolbar stays where it is, wherever the pointer goes. */
function isHeld() {
  if (document.querySelector(".float:popover-open, dialog[open]")) return true;
  return byKeys && at !== null && (at.contains(document.activeElement) || isFocused());
}

function isFocused() {
  return bar?.contains(document.activeElement) ?? false;
}

/**
 * Show the toolbar at a line.
 *
 * @param {HTMLElement} line
 * @param {boolean} keys whether by a keyboard
 */
function show(line, keys) {
  const { message, pane } = /** @type {Drawn} */ (drawn.get(line));
  const actions = actionsOf(message, pane);
  if (!bar || actions.length === 0) return hide();
  const inside = isFocused() ? /** @type {HTMLElement} */ (document.activeElement).dataset.key : undefined;
  at?.classList.remove("acted");
  [at, byKeys] = [line, keys];
  line.classList.add("acted");
  const first = actions.filter(({ order }) => order < LAST_BUTTON).slice(0, BUTTONS);
  const rest = actions.slice(first.length);
  fill(bar, ...first.map(drawButton), rest.length > 0 && drawMore(rest));
  if (pane.list.node.nextElementSibling !== bar) pane.list.node.after(bar);
  bar.hidden = false;
  rove(buttons().find(({ dataset }) => dataset.key === inside) ?? buttons()[0], inside !== undefined);
  place();
}

function hide() {
  if (!bar || !at) return;
  at.classList.remove("acted");
  at = null;
  bar.hidden = true;
}

/** @param {BoundAction} action */
function drawButton({ key, label, icon: sign, danger, letter, press }) {
  const one = button(label, () => press(one), {
    sign: typeof sign === "string" ? icon(sign) : sign,
    class: danger ? "quiet grave" : "quiet",
    "data-key": key,
    "aria-keyshortcuts": letter || null,
  });
  return one;
}

/** @param {BoundAction[]} rest */
function drawMore(rest) {
  const more = button(words.message.more, () => openMenu(words.message.toolbar, more, rest.map((one) => entry(one, more))), {
    sign: icon("more"),
    class: "quiet",
    "data-key": "more",
    "aria-haspopup": "menu",
  });
  return more;
}

/** @param {BoundAction} action @param {Element} anchor */
function entry({ label, icon: sign, danger, letter, press }, anchor) {
  return { label, icon: sign, danger, hint: letter === "Delete" ? words.message.deleteKey : letter.toUpperCase(), press: () => press(anchor) };
}

/** Open everything that can be done with a line's message; false where that is nothing. @param {HTMLElement} line */
function openAll(line) {
  const { message, pane } = /** @type {Drawn} */ (drawn.get(line));
  const actions = actionsOf(message, pane);
  if (actions.length === 0) return false;
  const anchor = bubbleOf(line);
  const quick = isTouch() && actions.some(({ key }) => key === "react");
  const above = quick ? quickRow(message, pane, anchor, () => opened.close()) : null;
  const listed = quick ? actions.filter(({ key }) => key !== "react") : actions;
  const opened = openMenu(words.message.toolbar, anchor, listed.map((one) => entry(one, anchor)), above);
  return true;
}

/** @param {Element} line */
function bubbleOf(line) {
  return line.querySelector(".bubble") ?? line;
}

/** Put the toolbar beside the bubble, or over its corner where there is no room. It stays within the list. */
function place() {
  if (!bar || !at) return;
  const { pane } = /** @type {Drawn} */ (drawn.get(at));
  const list = pane.list.node.getBoundingClientRect();
  const bubble = bubbleOf(at).getBoundingClientRect();
  if (!at.isConnected || bubble.bottom < list.top || bubble.top > list.bottom) return hide();
  const { offsetWidth: width, offsetHeight: height } = bar;
  const atLeft = bubble.left - list.left < list.right - bubble.right;
  const beside = atLeft ? bubble.right + GAP_PIXELS : bubble.left - GAP_PIXELS - width;
  const fits = beside >= list.left + EDGE_PIXELS && beside + width <= list.right - EDGE_PIXELS;
  const corner = atLeft ? bubble.right - width + OVERLAP_PIXELS : bubble.left - OVERLAP_PIXELS;
  const y = fits ? bubble.top + (Math.min(bubble.height, height + 2 * GAP_PIXELS) - height) / 2 : bubble.top - height + (isTouch() ? -2 : OVERLAP_PIXELS);
  bar.style.left = `${within(fits ? beside : corner, list.left + EDGE_PIXELS, list.right - EDGE_PIXELS - width)}px`;
  bar.style.top = `${within(y, list.top + EDGE_PIXELS, list.bottom - EDGE_PIXELS - height)}px`;
}

/** @param {number} value @param {number} from @param {number} to */
function within(value, from, to) {
  return Math.round(Math.max(from, Math.min(value, to)));
}

// ---- the pointer

/** @param {PointerEvent} event */
function pointed({ target, pointerType }) {
  if (pointerType === "touch" || isHeld() || (target instanceof Node && bar?.contains(target))) return;
  const line = lineOf(target);
  if (line === at) return;
  if (line) show(line, false);
  else hide();
}

/** @param {MouseEvent} event */
function tapped(event) {
  if (/** @type {PointerEvent} */ (event).pointerType !== "touch" || !(event.target instanceof Element)) return;
  const line = lineOf(event.target);
  if (bar?.contains(event.target) || (line && event.target.closest(CONTROLS))) return;
  if (line && line !== at) show(line, false);
  else hide();
}

// ---- the keyboard

/** @param {FocusEvent} event */
function focused({ target }) {
  if (!(target instanceof HTMLElement) || bar?.contains(target)) return;
  const line = lineOf(target);
  if (line && target.matches(":focus-visible")) show(line, true);
  else if (byKeys && !target.closest(".float, dialog")) hide();
}

/** @param {KeyboardEvent} event */
function pressedKey(event) {
  const { target, key, ctrlKey, metaKey, altKey, shiftKey } = event;
  const line = lineOf(target);
  if (!line || target !== line || event.defaultPrevented) return;
  if (key === "ContextMenu" || (key === "F10" && shiftKey)) openAll(line);
  else if (ctrlKey || metaKey || altKey) return;
  else if (key === "Enter") {
    show(line, true);
    rove(buttons()[0], true);
  } else {
    const { message, pane } = /** @type {Drawn} */ (drawn.get(line));
    const action = actionsOf(message, pane).find(({ letter }) => letter && letter.toLowerCase() === key.toLowerCase());
    if (!action) return;
    action.press(bubbleOf(line));
  }
  event.preventDefault();
}

/** Walk the buttons. @param {KeyboardEvent} event */
function walk(event) {
  const all = buttons();
  const now = all.indexOf(/** @type {HTMLElement} */ (document.activeElement));
  const right = getComputedStyle(document.documentElement).direction === "rtl" ? -1 : 1;
  const to = { ArrowRight: now + right, ArrowLeft: now - right, Home: 0, End: -1 }[event.key];
  if (to !== undefined) rove(/** @type {HTMLElement} */ (all.at(to % all.length)), true);
  else if (event.key === "Escape" && at) at.focus();
  else return;
  event.preventDefault();
}

/** @returns {HTMLElement[]} */
function buttons() {
  return bar ? [...bar.querySelectorAll("button")] : [];
}

/** Make a button the one that Tab leads to. @param {HTMLElement | undefined} to @param {boolean} focus */
function rove(to, focus) {
  for (const one of buttons()) one.tabIndex = one === to && byKeys ? 0 : -1;
  if (focus) to?.focus({ preventScroll: true });
}

addShortcuts({
  key: "messages",
  order: 20,
  title: () => words.message.onMessage,
  get keys() {
    const letters = messageLetters().map(({ letter, label }) => ({ keys: letter, label: () => label }));
    return [
      { keys: "ArrowUp / ArrowDown / Home / End", label: () => words.message.walk },
      { keys: "Enter", label: () => words.message.toolbar },
      { keys: "ContextMenu / Shift+F10", label: () => words.message.all },
      ...letters,
    ];
  },
});
