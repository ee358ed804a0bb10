/**
 * The list of messages. Only the lines in sight and some around them are in the document; room above and below stands for
 * the rest. What one looks at stays where it is, whatever is loaded, drawn or grows: the list keeps one line, the anchor, at
 * its place in the window, or the newest message at the lower edge.
 */

import { element, KeyedList } from "../dom.js";
import { dayOf } from "../format.js";
import { words } from "../words.js";
import { Heights } from "./heights.js";
import { Jumps } from "./jumps.js";
import { Lines } from "./lines.js";
import { drawMessage, showsNames } from "./message.js";
import { Quotes } from "./quotes.js";
import { Roving } from "./roving.js";
import { drawBetween } from "./separators.js";
import { growsOn } from "./streaming.js";

/** @import { ConversationView } from "../../sdk/index.js" */
/** @import { ConversationPane } from "./conversation.js" */
/** @import { Line } from "./lines.js" */

/** @typedef {{ key: string, offset: number }} Anchor a line, and how far below the upper edge it begins */
/** @typedef {{ seq: number, offset: number }} Place a message and where it was, to come back to */
/** @typedef {{ key: string, line: Line, parts: readonly unknown[], message: import("./message.js").MessageLine | null }} Drawn */

const NEAR_PIXELS = 60;
/** So far beyond the window lines are drawn, and messages are loaded. */
const BEYOND_PIXELS = 700;
const NEAR_EDGE = BEYOND_PIXELS / 2;
const LOAD_PIXELS = 3000;
const MOST_LINES = 260;

export class MessageList {
  #lines = new Lines();
  #heights = new Heights();
  /** The lines around what one looks at, up to the next gaps: what is beyond these is not shown before they are filled. @type {readonly Line[]} */
  #shown = [];
  /** The first line in the document, and the one after the last. */
  #window = [0, 0];
  #follows = true;
  /** Whether somebody scrolled. */
  moved = false;
  /** @type {Anchor | null} */
  #anchor = null;
  /** Where this list scrolled to by itself. */
  #scrolledTo = -1;
  #width = 0;
  #height = 0;
  #settling = false;
  #asked = -1;
  /** The line that is to be marked as found once it is drawn. */
  #found = "";
  /** @type {WeakMap<Element, string>} */
  #keys = new WeakMap();

  /** @param {ConversationPane} pane */
  constructor(pane) {
    this.pane = pane;
    this.quotes = new Quotes(pane, () => this.show(pane.view));
    this.lines = element("ol", { "aria-label": words.conversation.messages });
    this.above = element("div", { class: "room" });
    this.below = element("div", { class: "room" });
    this.scroller = element("div", { class: "messages", tabindex: -1, onscroll: () => this.#scrolled() }, this.above, this.lines, this.below);
    this.jumps = new Jumps(this);
    this.node = element("div", { class: "history" }, this.scroller, ...this.jumps.nodes);
    this.roving = new Roving(this);
    this.list = new KeyedList(this.lines, {
      key: (/** @type {Drawn} */ { key }) => key,
      same: (one, other) => one.parts.every((part, at) => part === other.parts[at] || growsOn(/** @type {any} */ (part), /** @type {any} */ (other.parts[at]))),
      draw: (drawn) => this.#draw(drawn),
    });
    this.sizes = new ResizeObserver(() => this.#resized());
    this.sizes.observe(this.scroller);
    this.sizes.observe(this.lines);
  }

  /** Whether the newest message is in sight, and stays so when more come. */
  get follows() {
    return this.#follows;
  }

  /** The lines that can be scrolled to, in the document or not. @returns {readonly Line[]} */
  get all() {
    return this.#shown;
  }

  /** @param {ConversationView} view @param {string | null} [newKey] the key of the message above which "New" stands */
  show(view, newKey = this.pane.reading.newKey) {
    this.#noteScroll();
    this.#lines.of(view, newKey);
    this.#cut();
    this.#settle();
    this.jumps.show(view);
  }

  grown = () => {}; // the lines' size is watched
  /**
   * Go to the message with a seq, or the next one that is shown.
   *
   * @param {number} seq
   * @param {{ offset?: number, found?: boolean }} [options] offset: how far below the upper edge; in the middle by default;
   *   found: whether it is marked and gets the focus
   * @returns {boolean} whether there is one
   */
  goTo(seq, { offset, found = false } = {}) {
    const line = this.#lines.all.find((one) => one.kind === "message" && (one.message.seq ?? Infinity) >= seq);
    if (!line) return false;
    const { key } = line;
    const middle = (this.#height - (line.height || line.guess)) / 2;
    this.#go({ key, offset: offset ?? Math.max(0, middle) });
    if (found) this.#markFound(key);
    return true;
  }

  /** Go to the line "New", so that some of what was read before is above it; false if there is none. */
  goToNew() {
    if (!this.#lines.all.some(({ kind }) => kind === "new")) return false;
    this.#go({ key: "new", offset: this.#height * 0.25 });
    return true;
  }

  /** Go to the newest message. */
  goToEnd() {
    this.#follows = true;
    this.#anchor = null;
    this.#cut();
    this.#settle();
    this.pane.reading.seen();
    this.jumps.show(this.pane.view);
  }

  /** Go to a message that is answered, loading it where that is needed. @param {number} messageId */
  async goToMessage(messageId) {
    const seq = await this.quotes.seqOf(messageId);
    if (seq === null) this.pane.cannotShow();
    else await this.pane.jump(seq);
  }

  /** Where one is, to come back to; null at the end. @returns {Place | null} */
  get place() {
    const [first, last] = this.inSight();
    if (this.#follows) return null;
    for (let at = first; at <= last; at += 1) {
      const line = this.#shown[at];
      if (line?.kind === "message" && line.message.seq !== null) return { seq: line.message.seq, offset: this.#heights.top(at) - this.scroller.scrollTop };
    }
    return null;
  }

  /** Return the first and the last line in sight. @returns {[number, number]} */
  inSight() {
    const { scrollTop } = this.scroller;
    return [this.#heights.at(scrollTop), this.#heights.at(scrollTop + this.#height - 1)];
  }

  /** The seq of the newest message that is in sight with its end; 0 for none, Infinity for the newest one. */
  get seenSeq() {
    if (this.#follows && this.pane.view.loaded) return Infinity;
    const lowest = this.scroller.scrollTop + this.#height + 1;
    for (let at = this.inSight()[1]; at >= 0; at -= 1) {
      const line = this.#shown[at];
      if (line?.kind === "message" && line.message.seq !== null && this.#heights.top(at + 1) <= lowest) return line.message.seq;
    }
    return 0;
  }

  /**
   * Scroll as far as is needed to have a line in sight, and return its node.
   *
   * @param {number} at
   */
  reveal(at) {
    const { scrollTop } = this.scroller;
    const [top, bottom] = [this.#heights.top(at), this.#heights.top(at + 1)];
    if (at === this.#shown.length - 1) this.goToEnd();
    else if (top < scrollTop) this.#go({ key: this.#shown[at].key, offset: 8 });
    else if (bottom > scrollTop + this.#height) this.#go({ key: this.#shown[at].key, offset: Math.max(0, this.#height - (bottom - top) - 8) });
    return this.list.node(this.#shown[at].key);
  }

  /** The key of a line, by its node. @param {Element | null} node */
  keyOf(node) {
    return node ? this.#keys.get(node) : undefined;
  }

  close() {
    this.sizes.disconnect();
    this.jumps.close();
  }

  /** @param {Anchor} anchor */
  #go(anchor) {
    this.#follows = false;
    this.#anchor = anchor;
    this.#cut();
    this.#settle();
    this.#follows = this.#isNearEnd();
    this.#reached();
  }

  #cut() {
    this.#shown = this.#lines.around(this.#follows ? null : (this.#anchor?.key ?? null));
    this.#heights.arrange(this.#shown);
  }

  /** Tell whether the newest message is in sight, or nearly. */
  #isNearEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.scroller;
    return scrollHeight - scrollTop - clientHeight < NEAR_PIXELS && this.#shown.at(-1)?.kind !== "gap";
  }

  /** @param {string} key */
  #markFound(key) {
    const node = this.list.node(key);
    if (!node) return;
    this.#found = key;
    node.classList.add("found");
    node.focus({ preventScroll: true });
  }

  /**
   * Draw what is to be in sight, and bring the anchor to its place. Heights become known by that: it takes another round where
   * the lines turned out too low to fill the window.
   */
  #settle() {
    if (this.#settling || !this.scroller.isConnected) return;
    this.#settling = true;
    this.#height ||= this.scroller.clientHeight;
    this.#width ||= this.lines.clientWidth;
    let target = this.#target();
    for (let round = 0; round < 4; round += 1) {
      this.#drawAt(target);
      target = this.#target();
      if (!this.#lacks(target)) break;
    }
    this.#scrollTo(target);
    this.#settling = false;
    this.#want();
  }

  /** Return where the upper edge is to be, in pixels from the first line. */
  #target() {
    const end = Math.max(0, this.#heights.total - this.#height);
    if (this.#follows) return end;
    const at = this.#anchor ? this.#placeOf(this.#anchor.key) : -1;
    if (at < 0) {
      this.#anchor = null;
      return Math.min(end, this.scroller.scrollTop);
    }
    return Math.max(0, Math.min(end, this.#heights.top(at) - (this.#anchor?.offset ?? 0)));
  }

  /** Return which line has a key, -1 for none: mostly the one that was asked for last. @param {string} key */
  #placeOf(key) {
    if (this.#shown[this.#asked]?.key !== key) this.#asked = this.#shown.findIndex((line) => line.key === key);
    return this.#asked;
  }

  /** @param {number} target */
  #scrollTo(target) {
    const { scroller } = this;
    const to = this.#follows ? scroller.scrollHeight : target;
    if (this.#follows || Math.abs(scroller.scrollTop - to) >= 1) scroller.scrollTop = to;
    this.#scrolledTo = scroller.scrollTop;
  }

  /** Tell whether lines are missing near what is in sight from a height on. @param {number} top */
  #lacks(top) {
    const [from, to] = this.#window;
    const heights = this.#heights;
    return (from > 0 && heights.top(from) > top - NEAR_EDGE) || (to < this.#shown.length && heights.top(to) < top + this.#height + NEAR_EDGE);
  }

  /** Draw the lines around a height. @param {number} top */
  #drawAt(top) {
    const heights = this.#heights;
    let from = heights.at(top - BEYOND_PIXELS);
    let to = Math.min(this.#shown.length, heights.at(top + this.#height + BEYOND_PIXELS) + 1);
    if (to - from > MOST_LINES) {
      from = Math.max(from, heights.at(top) - Math.floor(MOST_LINES / 3));
      to = Math.min(to, from + MOST_LINES);
    }
    this.#window = [from, to];
    const drawn = this.#shown.slice(from, to).map((line) => this.#dress(line));
    this.roving.before(drawn);
    this.list.show(drawn);
    this.roving.after();
    this.#measure();
    this.above.style.height = `${heights.top(from)}px`;
    this.below.style.height = `${heights.total - heights.top(to)}px`;
  }

  /** Measure the lines that are drawn, all at once, as a look at a height lays out the page; tells whether any has another one than thought. */
  #measure() {
    const [from, to] = this.#window;
    let differs = false;
    for (let at = from; at < to; at += 1) {
      const node = this.#shown[at] && this.list.node(this.#shown[at].key);
      if (node) differs = this.#heights.measure(at, node.getBoundingClientRect().height) || differs;
    }
    return differs;
  }

  /** Return a line with everything that it shows. @param {Line} line @returns {Drawn} */
  #dress(line) {
    const { pane } = this;
    const { key } = line;
    if (line.kind !== "message") return { key, line, message: null, parts: [line, line.kind === "day" ? dayOf(Date.now() / 1000) : pane.loading.stateOf(key)] };
    const { message, first } = line;
    const { payload, senderId } = message;
    const dressed = {
      message,
      first,
      sender: pane.names.of(senderId),
      quoted: payload.reply_to ? this.quotes.of(payload.reply_to) : null,
      inGroup: pane.isGroup, folded: pane.messenger.blocked.folds(message),
      names: showsNames(message) ? pane.names.version : 0,
    };
    return { key, line, message: dressed, parts: Object.values(dressed) };
  }

  /** @param {Drawn} drawn */
  #draw({ key, line, message }) {
    const node = message ? drawMessage(message, this.pane) : drawBetween(line, this.pane);
    node.dataset.key = key;
    node.tabIndex = -1;
    if (key === this.#found) node.classList.add("found");
    this.#keys.set(node, key);
    return node;
  }

  #scrolled() {
    if (this.#noteScroll()) {
      if (this.#lacks(this.#scrolledTo)) this.#settle();
      else this.#want();
      this.jumps.scrolled();
    }
    this.#reached();
  }

  /** Take note of where somebody scrolled to, before anything else moves; tells whether they did. */
  #noteScroll() {
    const { scrollTop } = this.scroller;
    if (this.#scrolledTo < 0 || Math.abs(scrollTop - this.#scrolledTo) < 1) return false;
    this.#scrolledTo = scrollTop;
    this.#found = "";
    this.#follows = this.#isNearEnd();
    this.moved ||= !this.#follows; // at the end it may be for another height of the window
    this.#anchor = this.#follows ? null : this.#anchorAt(scrollTop);
    return true;
  }

  /** Note what is in sight now. */
  #reached() {
    this.pane.reading.seen();
    this.jumps.show(this.pane.view);
  }

  /** Return the line that is to stay where it is: the first one that is in sight from its beginning. @param {number} top @returns {Anchor | null} */
  #anchorAt(top) {
    const first = this.#heights.at(top);
    const last = Math.min(this.#shown.length - 1, this.#heights.at(top + this.#height - 1));
    const isKept = (/** @type {number} */ at) => /message|whisper/.test(this.#shown[at]?.kind ?? "");
    let at = first;
    while (at <= last && !(isKept(at) && this.#heights.top(at) >= top)) at += 1;
    if (at > last) at = isKept(first) ? first : Math.min(first + 1, last);
    const line = this.#shown[at];
    return line ? { key: line.key, offset: this.#heights.top(at) - top } : null;
  }

  /** Load what is missing near the window. */
  #want() {
    if (this.pane.opening) return;
    const { scrollTop } = this.scroller;
    const from = this.#heights.at(scrollTop - LOAD_PIXELS);
    const to = this.#heights.at(scrollTop + this.#height + LOAD_PIXELS);
    for (let at = from; at <= to; at += 1) {
      const line = this.#shown[at];
      if (line?.kind === "older") this.pane.loading.older();
      else if (line?.kind === "gap") this.pane.loading.gap(line.key, line.gap, at > 0);
    }
  }

  /** The window has another size, or a line has: a picture came, or a text grew. */
  #resized() {
    this.#noteScroll();
    if ([this.#resizedWindow(), this.#measure()].includes(true)) this.#settle();
  }

  #resizedWindow() {
    const { clientHeight } = this.scroller;
    const width = this.lines.clientWidth;
    if (clientHeight === this.#height && width === this.#width) return false;
    if (width !== this.#width) this.#heights.forget();
    this.#height = clientHeight;
    this.#width = width;
    return true;
  }
}
