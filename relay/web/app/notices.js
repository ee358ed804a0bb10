/** Short notices: notifications, errors, and new messages for screen readers. */

import { button, element, fill, icon } from "./dom.js";
import { upright } from "./format.js";
import { sentence } from "./sign-in.js";

const NOTICE_MS = 8_000;

export class Notices {
  #shown = element("div", { class: "notices", role: "status" });
  #spoken = element("div", { class: "spoken", role: "log", "aria-label": "New messages" });

  constructor() {
    this.node = element("aside", { "aria-label": "Notices" }, this.#shown, this.#spoken);
  }

  /**
   * Show a notice for a while.
   *
   * @param {string} title
   * @param {string} [body]
   */
  say(title, body = "") {
    const notice = this.#add(title, body);
    setTimeout(() => notice.remove(), NOTICE_MS);
  }

  /**
   * Show a notice with a button, until it is pressed or dismissed.
   *
   * @param {string} title
   * @param {string} body
   * @param {string} label
   * @param {() => void} press
   */
  ask(title, body, label, press) {
    const notice = this.#add(title, body, button(label, () => (notice.remove(), press()), { class: "link" }));
  }

  /** @param {string} title @param {string} body @param {...HTMLElement} more @returns {HTMLElement} */
  #add(title, body, ...more) {
    const dismiss = button("Dismiss", () => notice.remove(), { sign: icon("close"), class: "quiet dismiss" });
    const told = body && element("p", { dir: "auto" }, upright(body));
    const notice = element("div", { class: "notice" }, element("strong", { dir: "auto" }, upright(title)), told, ...more, dismiss);
    this.#shown.append(notice);
    return notice;
  }

  /** @param {unknown} error */
  failed(error) {
    this.say(sentence(error));
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
    fill(this.#shown);
    fill(this.#spoken);
  }
}
