/** The messages of a thread: its root, a line with the number of replies, and the replies, the newest at the end. */

import { button, element, fill, KeyedList } from "../dom.js";
import { day } from "../format.js";
import { drawMessage, showsNames } from "../conversation/message.js";
import { growsOn } from "../conversation/streaming.js";
import { counted, words } from "../words.js";

/** @import { MessageView } from "../../sdk/index.js" */
/** @import { ThreadPaneView } from "../../sdk/store/view-cache.js" */
/** @import { ThreadPane } from "./thread-pane.js" */

/** @typedef {{ key: string, text: string, kind: "count" | "day" | "new" }} Separator */
/** @typedef {{ key: string, older: true }} Older */
/** @typedef {import("../conversation/message.js").MessageLine | Separator | Older} Line */

const NEAR_PIXELS = 60;
const PAUSE_SECONDS = 300;

export class ThreadList {
  #follows = true;
  /** The key of the reply above which "New" stands. @type {string | null | undefined} */
  #newKey = undefined;

  /** @param {ThreadPane} pane */
  constructor(pane) {
    this.pane = pane;
    this.lines = element("ol", { "aria-label": words.threads.messages, onkeydown: (/** @type {KeyboardEvent} */ event) => this.#step(event) });
    this.node = element("div", { class: "messages", tabindex: -1, onscroll: () => this.#scrolled() }, this.lines);
    this.list = new KeyedList(this.lines, {
      key: (/** @type {Line} */ line) => ("message" in line ? line.message.key : line.key),
      same: (one, other) =>
        Object.entries(one).every(([name, value]) => {
          const next = /** @type {any} */ (other)[name];
          return next === value || (name === "message" && growsOn(/** @type {any} */ (value), next));
        }),
      draw: (line) => this.#draw(line),
    });
    this.sizes = new ResizeObserver(() => this.grown());
    this.sizes.observe(this.node);
    this.sizes.observe(this.lines);
  }

  /** Whether the newest reply is in sight, and stays so when more come. */
  get follows() {
    return this.#follows;
  }

  /** @param {ThreadPaneView} view */
  show(view) {
    const before = this.node.scrollHeight - this.node.scrollTop;
    this.list.show(this.#linesOf(view));
    if (this.#follows) this.grown();
    else if (this.#grewAbove) this.node.scrollTop = this.node.scrollHeight - before;
    this.#grewAbove = false;
    const lines = /** @type {NodeListOf<HTMLElement>} */ (this.lines.querySelectorAll(":scope > li.message"));
    for (const [at, line] of lines.entries()) line.tabIndex = at === lines.length - 1 ? 0 : -1;
  }

  #grewAbove = false;

  /** Stay at the newest reply, if it was in sight. */
  grown = () => {
    if (this.#follows) this.node.scrollTop = this.node.scrollHeight;
  };

  /** Go to the newest reply. */
  goToEnd() {
    this.#follows = true;
    this.grown();
  }

  /** Go to a message that is answered, in the thread or beside it. @param {number} messageId */
  goToMessage(messageId) {
    const message = this.pane.view.messages.find((one) => one.messageId === messageId);
    if (message) this.goToKey(message.key);
    else void this.pane.conversation.list.goToMessage(messageId);
  }

  /** Go to a line, and mark it as found. @param {string} key */
  goToKey(key) {
    const line = this.list.node(key);
    if (!line) return;
    this.#follows = false;
    for (const one of this.lines.querySelectorAll(":scope > .found")) one.classList.remove("found");
    line.classList.add("found");
    line.scrollIntoView({ block: "center" });
    line.focus({ preventScroll: true });
  }

  close() {
    this.sizes.disconnect();
  }

  /** @param {ThreadPaneView} view @returns {Line[]} */
  #linesOf({ gaps, messages, readSeq, root, thread, loaded, unread }) {
    const replies = messages.filter((message) => message !== root);
    if (this.#newKey === undefined && loaded) {
      this.#newKey = (unread > 0 && replies.find(({ seq, mine }) => !mine && seq !== null && seq > readSeq)?.key) || null;
    }
    /** @type {Line[]} */
    const lines = root ? [this.#lineOf(root, undefined)] : [];
    const count = thread?.replies ?? replies.length;
    if (loaded || count > 0) lines.push({ kind: "count", key: "count", text: count > 0 ? counted(count, words.threads.replies) : words.threads.none });
    if (gaps.length > 0) lines.push({ key: "older", older: true });
    let last = root ?? undefined;
    for (const message of replies) {
      const date = new Date(message.timestamp * 1000).toDateString();
      if (last && new Date(last.timestamp * 1000).toDateString() !== date) lines.push({ kind: "day", key: `day:${date}`, text: day(message.timestamp) });
      if (message.key === this.#newKey) lines.push({ kind: "new", key: "new", text: words.threads.newReplies });
      lines.push(this.#lineOf(message, last === root ? undefined : last));
      last = message;
    }
    return lines;
  }

  /** @param {MessageView} message @param {MessageView | undefined} last @returns {import("../conversation/message.js").MessageLine} */
  #lineOf(message, last) {
    const { payload, senderId, timestamp, type } = message;
    const { names, view } = this.pane;
    const goesOn = last?.senderId === senderId && last.type === type && Math.abs(timestamp - last.timestamp) < PAUSE_SECONDS;
    const quoted = payload.reply_to ? view.messages.find(({ messageId }) => messageId === payload.reply_to) : null;
    return {
      message, first: !goesOn, sender: names.of(senderId), quoted: quoted ?? null,
      names: showsNames(message) ? names.version : 0,
    };
  }

  /** @param {Line} line */
  #draw(line) {
    if ("message" in line) return drawMessage(line, /** @type {any} */ (this.pane));
    if ("older" in line) {
      const load = () => {
        this.#grewAbove = true;
        this.#follows = false;
        this.pane.loadOlder();
      };
      return element("li", { class: "gap" }, button(words.threads.older, load, { class: "link" }));
    }
    const place = element("li", { class: line.kind === "count" ? "count-line" : line.kind });
    fill(place, element("span", {}, line.text));
    return place;
  }

  #scrolled() {
    const { scrollHeight, scrollTop, clientHeight } = this.node;
    this.#follows = scrollHeight - scrollTop - clientHeight < NEAR_PIXELS;
    if (this.#follows) this.pane.markRead();
  }

  /** @param {KeyboardEvent} event */
  #step(event) {
    const lines = [...this.lines.querySelectorAll(":scope > li.message")];
    const at = lines.indexOf(/** @type {Element} */ (/** @type {Element} */ (event.target).closest("li")));
    const next = { ArrowUp: lines[at - 1], ArrowDown: lines[at + 1], Home: lines[0], End: lines.at(-1) }[event.key];
    if (!next || event.target !== lines[at]) return;
    event.preventDefault();
    /** @type {HTMLElement} */ (next).focus();
  }
}
