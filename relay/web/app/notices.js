/** What is told for a moment: notifications, failures, and to screen readers what came in. */

import { button, element, fill, icon } from "./dom.js";
import { upright } from "./format.js";
import { sentence } from "./sign-in.js";

const SHOWN_MS = 8_000;

export class Notices {
  #shown = element("div", { class: "notices", role: "status" });
  #spoken = element("div", { class: "spoken", role: "log", "aria-label": "New messages" });

  constructor() {
    this.node = element("aside", { "aria-label": "Notices" }, this.#shown, this.#spoken);
  }

  /**
   * @param {string} title
   * @param {string} [body]
   */
  say(title, body = "") {
    const notice = element("div", { class: "notice" }, element("strong", { dir: "auto" }, upright(title)));
    if (body) notice.append(element("p", { dir: "auto" }, upright(body)));
    notice.append(button("Dismiss", () => notice.remove(), { sign: icon("close"), class: "quiet" }));
    this.#shown.append(notice);
    setTimeout(() => notice.remove(), SHOWN_MS);
  }

  /** @param {unknown} error */
  failed(error) {
    this.say(sentence(error));
  }

  /**
   * Have something read out that others see come in.
   *
   * @param {string} text
   */
  speak(text) {
    fill(this.#spoken, element("p", {}, text));
  }

  /** The session is over, and with it all that was told in it. */
  close() {
    fill(this.#shown);
    fill(this.#spoken);
  }
}
