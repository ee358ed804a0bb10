/** The keyboard in the list of messages: one tab stop, and keys that walk from message to message, drawn or not. */

/** @import { Drawn, MessageList } from "./message-list.js" */

const WALKED = /^(?:message|whisper)$/;
const CONTROLS = "a[href], button, select, input, textarea, summary, audio, video";
/** Where arrows and the like have a meaning of their own. */
const TAKES_KEYS = "input, textarea, select, audio, video, [role=menu], [role=grid], [contenteditable]";

export class Roving {
  /** The line that has the tab stop. */
  #key = "";
  /** The line that had the focus when it left the document. */
  #lost = "";

  /** @param {MessageList} list */
  constructor(list) {
    this.list = list;
    list.scroller.addEventListener("keydown", (event) => this.#walk(event));
    list.lines.addEventListener("focusin", (event) => this.#reach(lineOf(event.target)));
  }

  /** Take note of the focus before lines leave the document. @param {readonly Drawn[]} drawn those that stay or come */
  before(drawn) {
    const key = this.list.keyOf(lineOf(document.activeElement));
    if (key === undefined || !this.list.lines.contains(document.activeElement) || drawn.some((one) => one.key === key)) return;
    this.#lost = key;
    this.list.scroller.focus({ preventScroll: true });
  }

  /** Bring tab stop and focus to where they belong, after lines were drawn. */
  after() {
    const { list } = this;
    const nodes = /** @type {HTMLCollectionOf<HTMLElement>} */ (list.lines.children);
    let stop = this.#key ? list.list.node(this.#key) : undefined;
    for (let at = nodes.length - 1; at >= 0 && !stop?.isConnected; at -= 1) if (nodes[at].matches(".message")) stop = nodes[at];
    for (const node of nodes) {
      if (node === stop) continue;
      if (node.tabIndex !== -1) quiet(node);
      else if (!node.dataset.quiet) quiet(node);
    }
    if (stop) wake(stop);
    if (!this.#lost) return;
    if (document.activeElement !== list.scroller) this.#lost = "";
    else list.list.node(this.#lost)?.focus({ preventScroll: true });
  }

  /** @param {HTMLElement | null} line */
  #reach(line) {
    const key = this.list.keyOf(line);
    if (!line || key === undefined) return;
    this.#lost = "";
    if (key === this.#key) return;
    for (const other of /** @type {HTMLCollectionOf<HTMLElement>} */ (this.list.lines.children)) if (other.tabIndex === 0) quiet(other);
    this.#key = key;
    wake(line);
  }

  /** @param {KeyboardEvent} event */
  #walk(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey || target.closest(TAKES_KEYS)) return;
    if (event.key === "End") this.list.goToEnd(); // from amid the history the newest messages are another part of the list
    const { all } = this.list;
    const key = this.list.keyOf(lineOf(target)) ?? (this.#lost || this.#key);
    const at = all.findLastIndex((line) => line.key === key);
    const to = this.#stepOf(event.key, at < 0 ? this.list.inSight()[1] : at);
    if (to === undefined) return;
    event.preventDefault();
    this.list.reveal(to)?.focus({ preventScroll: true });
  }

  /** @param {string} key @param {number} at @returns {number | undefined} the line that a key leads to */
  #stepOf(key, at) {
    const { all } = this.list;
    if (key === "ArrowUp") return this.#next(at - 1, -1);
    if (key === "ArrowDown") return this.#next(at + 1, 1);
    if (key === "Home") return this.#next(0, 1);
    if (key === "End") return this.#next(all.length - 1, -1);
    if (key !== "PageUp" && key !== "PageDown") return undefined;
    const [first, last] = this.list.inSight();
    const page = Math.max(1, last - first - 1);
    return key === "PageUp" ? this.#next(Math.max(0, at - page), 1) : this.#next(Math.min(all.length - 1, at + page), -1);
  }

  /** Return the first line that has messages, from one on, in a direction. @param {number} at @param {1 | -1} step */
  #next(at, step) {
    const { all } = this.list;
    while (all[at] && !WALKED.test(all[at].kind)) at += step;
    return all[at] ? at : undefined;
  }
}

/** @param {EventTarget | null} target @returns {HTMLElement | null} */
function lineOf(target) {
  return target instanceof Element ? target.closest(".messages > ol > li") : null;
}

/** Take a line and what is in it out of the order of tabs. @param {HTMLElement} line */
function quiet(line) {
  line.tabIndex = -1;
  line.dataset.quiet = "true";
  for (const control of /** @type {NodeListOf<HTMLElement>} */ (line.querySelectorAll(CONTROLS))) {
    if (control.tabIndex === 0) {
      control.tabIndex = -1;
      control.dataset.stop = "true";
    }
  }
}

/** @param {HTMLElement} line */
function wake(line) {
  line.tabIndex = 0;
  delete line.dataset.quiet;
  for (const control of /** @type {NodeListOf<HTMLElement>} */ (line.querySelectorAll("[data-stop]"))) {
    control.tabIndex = 0;
    delete control.dataset.stop;
  }
}
