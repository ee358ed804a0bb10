/** Short notices: notifications, errors, and new messages for screen readers. */

import { button, element, fill, icon } from "../dom.js";
import { upright } from "../format.js";
import { problem } from "../problems.js";
import { words } from "../words.js";

/** @typedef {"info" | "success" | "warning" | "error"} Level */

const NOTICE_MS = 8_000;
const MOST = 3;

export class Notices {
  // In the top layer, where there is one: an open dialog must not hide why what was asked for in it failed.
  #shown = element("div", { class: "notices", role: "status", popover: "manual" });
  #spoken = element("div", { class: "spoken", role: "log", "aria-label": words.notices.newMessages });
  /** @type {Map<string, Notice>} by what they say, the oldest first */
  #notices = new Map();

  constructor() {
    this.node = element("aside", { "aria-label": words.notices.notices }, this.#shown, this.#spoken);
  }

  /**
   * Show a notice for a while.
   *
   * @param {string} title
   * @param {string} [body]
   * @param {{ level?: Level }} [options]
   */
  say(title, body = "", { level = "info" } = {}) {
    this.#add(title, body, level).wait();
  }

  /**
   * Show a notice with a button, until it is pressed or dismissed.
   *
   * @param {string} title
   * @param {string} body
   * @param {string} label
   * @param {() => void} press
   * @param {{ level?: Level }} [options]
   */
  ask(title, body, label, press, { level = "warning" } = {}) {
    const notice = this.#add(title, body, level);
    notice.add(button(label, () => (notice.end(), press()), { class: "link" }));
  }

  /** Show what went wrong. @param {unknown} error */
  failed(error) {
    const told = problem(error);
    if (told) this.say(told, "", { level: "error" });
  }

  /**
   * Have screen readers read a text that others see appear.
   *
   * @param {string} text
   */
  speak(text) {
    fill(this.#spoken, element("p", {}, text));
  }

  /** Remove all notices, as the session is over. */
  close() {
    for (const notice of [...this.#notices.values()]) notice.end();
    fill(this.#spoken);
  }

  /** @param {string} title @param {string} body @param {Level} level */
  #add(title, body, level) {
    const says = JSON.stringify([title, body]);
    this.#notices.get(says)?.end(); // the same again is shown once
    const notice = new Notice(title, body, level, () => {
      this.#notices.delete(says);
      if (this.#notices.size === 0) this.#raise(false);
    });
    this.#notices.set(says, notice);
    this.#shown.append(notice.node);
    const passing = [...this.#notices.values()].filter((one) => one.passes);
    if (this.#notices.size > MOST) (passing[0] ?? this.#notices.values().next().value)?.end();
    this.#raise(true);
    return notice;
  }

  /** Show the place of the notices above what was opened meanwhile, or hide it. @param {boolean} shown */
  #raise(shown) {
    const place = this.#shown;
    if (!place.isConnected || !place.showPopover) return;
    if (place.matches(":popover-open")) place.hidePopover();
    if (shown) place.showPopover();
  }
}

class Notice {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** Whether it goes by itself, after a while. */
  passes = false;
  /** @type {Element | null} what had the focus before it came into the notice */
  #before = null;
  #ended;

  /** @param {string} title @param {string} body @param {Level} level @param {() => void} ended */
  constructor(title, body, level, ended) {
    this.#ended = ended;
    const word = words.notices.levels[level];
    this.node = element(
      "div",
      {
        class: `notice ${level}`,
        role: level === "error" ? "alert" : false,
        onpointerenter: () => clearTimeout(this.#timer),
        onpointerleave: () => this.passes && this.wait(),
        onfocusin: (/** @type {FocusEvent} */ { relatedTarget }) => {
          clearTimeout(this.#timer);
          if (!this.node.contains(/** @type {Node | null} */ (relatedTarget))) this.#before = /** @type {Element | null} */ (relatedTarget);
        },
        onfocusout: () => this.passes && this.wait(),
        onkeydown: (/** @type {KeyboardEvent} */ event) => {
          if (event.key !== "Escape") return;
          event.stopPropagation();
          this.end();
        },
      },
      icon(level),
      word && element("span", { class: "hidden" }, `${word}: `),
      element("strong", { dir: "auto" }, upright(title)),
      body && element("p", { dir: "auto" }, upright(body)),
      button(words.notices.dismiss, () => this.end(), { sign: icon("close"), class: "quiet dismiss" }),
    );
  }

  /** @param {HTMLElement} child */
  add(child) {
    this.node.insertBefore(child, this.node.lastElementChild);
  }

  /** Let it go after a while, unless somebody points at it or is in it. */
  wait() {
    this.passes = true;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.node.matches(":hover, :focus-within") || this.end(), NOTICE_MS);
  }

  end() {
    clearTimeout(this.#timer);
    const focused = this.node.contains(document.activeElement);
    this.node.remove();
    this.#ended();
    if (focused && this.#before?.isConnected) /** @type {HTMLElement} */ (this.#before).focus();
  }
}
