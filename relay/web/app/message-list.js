/** The list of messages: loads older ones, and keeps the scroll position. */

import { button, element, KeyedList } from "./dom.js";
import { drawMessage } from "./message.js";
import { growsOn } from "./streaming.js";
import { isTalk } from "./texts.js";
import { drawWhisper, whispersIn } from "./whispers.js";

/** @import { ConversationView, MessageView } from "../sdk/index.js" */
/** @import { ConversationPane } from "./conversation.js" */
/** @import { MessageLine } from "./message.js" */

/** @typedef {{ gap: { fromSeq: number, toSeq: number }, key: string }} GapLine */
/** @typedef {{ whisper: import("../sdk/store/latest.js").LatestView, key: string }} WhisperLine */
/** @typedef {MessageLine | GapLine | WhisperLine} Line */

const NEAR_PIXELS = 60;
const PAUSE_SECONDS = 300;

export class MessageList {
  #follows = true;
  #firstKey = "";
  /** The key of the first unread message when the conversation was opened. @type {string | null | undefined} */
  #newKey = undefined;

  /** @param {ConversationPane} pane */
  constructor(pane) {
    this.pane = pane;
    this.lines = element("ol", {
      "aria-label": "Messages",
      onkeydown: (/** @type {KeyboardEvent} */ event) => this.#step(event),
    });
    this.top = element("div", { class: "top" });
    this.node = element(
      "div",
      { class: "messages", tabindex: -1, onscroll: () => this.#scrolled() },
      this.top,
      this.lines,
    );
    this.list = new KeyedList(this.lines, {
      key: (/** @type {Line} */ line) => ("message" in line ? line.message.key : line.key),
      same: (one, other) =>
        Object.entries(one).every(([name, value]) => {
          const next = /** @type {any} */ (other)[name];
          return name === "gap" || next === value || (name === "message" && growsOn(value, next));
        }),
      draw: (line) => {
        if ("whisper" in line) return element("li", { class: "message", tabindex: -1 }, drawWhisper(line.whisper));
        return "gap" in line ? this.#drawGap(line) : drawMessage(line, pane);
      },
    });
    this.watcher = new IntersectionObserver(([{ isIntersecting }]) => isIntersecting && pane.loadOlder(), {
      root: this.node,
      rootMargin: "400px 0px 0px 0px",
    });
    // The window, a phone's keyboard and the composer change the height: the newest message stays visible.
    this.sizes = new ResizeObserver(() => this.grown());
    this.sizes.observe(this.node);
  }

  /** Whether the newest message is visible, and stays so when more come. */
  get follows() {
    return this.#follows;
  }

  /** @param {ConversationView} view */
  show(view) {
    const { node } = this;
    const before = node.scrollHeight;
    this.list.show(this.#linesOf(view));
    const firstKey = view.messages[0]?.key ?? "";
    if (this.#follows) this.grown();
    else if (firstKey !== this.#firstKey) node.scrollTop += node.scrollHeight - before; // older messages were added above
    this.#firstKey = firstKey;
    const lines = /** @type {NodeListOf<HTMLElement>} */ (this.lines.querySelectorAll(":scope > li"));
    for (const [at, line] of lines.entries()) line.tabIndex = at === lines.length - 1 ? 0 : -1;
  }

  /** Load older messages when the top comes near. Called again after each page, which may not have filled the window. */
  watch() {
    this.watcher.unobserve(this.top);
    this.watcher.observe(this.top);
  }

  /** Scroll to the newest message, if it was visible before. */
  grown = () => {
    if (this.#follows) this.node.scrollTop = this.node.scrollHeight;
  };

  /** @param {number} seq */
  goTo(seq) {
    const message = this.pane.view.messages.find((one) => one.seq === seq);
    const line = message && this.list.node(message.key);
    if (!line) return;
    this.#follows = false;
    line.scrollIntoView({ block: "center" });
    line.focus({ preventScroll: true });
    line.classList.add("found");
  }

  /** Go to the newest message. */
  goToEnd() {
    this.#follows = true;
    this.grown();
  }

  close() {
    this.watcher.disconnect();
    this.sizes.disconnect();
  }

  #scrolled() {
    const { scrollHeight, scrollTop, clientHeight } = this.node;
    this.#follows = scrollHeight - scrollTop - clientHeight < NEAR_PIXELS;
    if (this.#follows) this.pane.markRead();
  }

  /** @param {KeyboardEvent} event */
  #step(event) {
    const line = /** @type {Element} */ (event.target).closest("li");
    const next = { ArrowUp: line?.previousElementSibling, ArrowDown: line?.nextElementSibling }[event.key];
    if (!next) return;
    event.preventDefault();
    /** @type {HTMLElement} */ (next).focus();
  }

  /**
   * @param {ConversationView} view
   * @returns {Line[]}
   */
  #linesOf(view) {
    const { messages, gaps, readSeq, unread } = view;
    if (this.#newKey === undefined && messages.length > 0) {
      this.#newKey =
        (unread > 0 && messages.find(({ seq, mine }) => !mine && seq !== null && seq > readSeq)?.key) || null;
    }
    /** @type {Line[]} */
    const lines = [];
    /** @type {MessageView | undefined} */
    let last;
    for (const message of messages) {
      const gap = gaps.find(
        ({ fromSeq, toSeq }) => message.seq !== null && (last?.seq ?? 0) < fromSeq && toSeq < message.seq,
      );
      if (gap && last) lines.push({ gap, key: `gap:${gap.fromSeq}-${gap.toSeq}` });
      lines.push(this.#lineOf(message, last));
      last = message;
    }
    for (const whisper of whispersIn(view.whispers)) {
      lines.push({ whisper, key: `whisper:${whisper.type}:${whisper.messageId}:${whisper.timestamp}` });
    }
    return lines;
  }

  /**
   * @param {MessageView} message
   * @param {MessageView | undefined} last
   * @returns {MessageLine}
   */
  #lineOf(message, last) {
    const { payload, reactions, senderId, timestamp, type } = message;
    const hasNames = payload.reply_to !== undefined || reactions.length > 0 || !isTalk(message);
    const goesOn = last?.senderId === senderId && last.type === type && Math.abs(timestamp - last.timestamp) < PAUSE_SECONDS;
    const date = new Date(timestamp * 1000).toDateString();
    const newDay = !last || new Date(last.timestamp * 1000).toDateString() !== date;
    const quoted = payload.reply_to
      ? this.pane.view.messages.find(({ messageId }) => messageId === payload.reply_to)
      : null;
    return {
      message,
      first: !goesOn || newDay,
      newDay,
      newHere: message.key === this.#newKey,
      sender: this.pane.names.of(senderId),
      quoted: quoted ?? null,
      names: hasNames ? this.pane.names.version : 0,
    };
  }

  /** @param {GapLine} line */
  #drawGap({ gap }) {
    const count = gap.toSeq - gap.fromSeq + 1;
    const label = count === 1 ? "Show the message in between" : `Show the ${count} messages in between`;
    return element(
      "li",
      { class: "gap", tabindex: -1 },
      button(label, () => this.pane.loadGap(gap), { class: "link" }),
    );
  }
}
