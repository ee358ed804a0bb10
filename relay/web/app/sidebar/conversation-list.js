/**
 * The list of conversations: filtered, one stop of the Tab key, and windowed. All lines are of one height, so only those
 * in sight are drawn, at their places; hundreds of conversations cost what a screenful does.
 */

import { readHash } from "../address.js";
import { button, element, fill, KeyedList } from "../dom.js";
import { openMenu } from "../menu.js";
import { startConversation } from "../people/people.js";
import { words } from "../words.js";
import { isMuted, lineEntries } from "./line-menu.js";
import { drawLine, isSame, lineOf } from "./line.js";

/** @import { ConversationSummary } from "../../sdk/index.js" */
/** @import { Messenger } from "../messenger.js" */
/** @import { Line } from "./line.js" */

/** @typedef {"all" | "unread" | "people" | "groups" | "archived"} Filter */

/** Lines that are drawn beyond each edge of what is in sight. */
const BEYOND = 8;
/** How long a finger rests on a line until its menu opens. */
const LONG_MS = 500;

/** @type {Filter[]} */
const FILTERS = ["all", "unread", "people", "groups", "archived"];

export class ConversationList {
  /** @type {Filter} */
  #filter = "all";
  #open = "";
  /** The line that the Tab key comes to. */
  #current = "";
  /** @type {Line[]} */
  #lines = [];
  #height = 0;
  #frame = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #resting;
  #pressed = false;

  /** @param {Messenger} messenger */
  constructor(messenger) {
    this.messenger = messenger;
    const list = element("ul", { "aria-label": words.sidebar.list });
    this.list = new KeyedList(list, {
      key: (/** @type {Line} */ line) => line.summary.target,
      same: isSame,
      draw: (line) => drawLine(line, (at) => this.#openMenu(line.summary.target, at)),
    });
    this.filters = element("div", { class: "filters", role: "group", "aria-label": words.sidebar.filters });
    this.empty = element("div", { class: "empty" });
    this.scroller = element(
      "div",
      {
        class: "conversations",
        onscroll: () => this.#soon(),
        onkeydown: (/** @type {KeyboardEvent} */ event) => this.#walk(event),
        oncontextmenu: (/** @type {MouseEvent} */ event) => this.#asked(event),
        onpointerdown: (/** @type {PointerEvent} */ event) => this.#rest(event),
        onfocusin: (/** @type {FocusEvent} */ event) => this.#focused(event),
        onclick: (/** @type {Event} */ event) => this.#pressed && (event.preventDefault(), (this.#pressed = false)),
      },
      list,
      this.empty,
    );
    for (const name of ["pointerup", "pointercancel", "pointermove"]) {
      this.scroller.addEventListener(name, (event) => this.#unrest(/** @type {PointerEvent} */ (event)));
    }
    this.node = element("div", { class: "conversation-list" }, this.filters, this.scroller);
    this.sizes = new ResizeObserver(() => ((this.#height = 0), this.#soon()));
    this.sizes.observe(this.scroller);
  }

  /** The conversations as they are listed now. @returns {ConversationSummary[]} */
  get listed() {
    return this.#lines.map(({ summary }) => summary);
  }

  close() {
    this.sizes.disconnect();
    cancelAnimationFrame(this.#frame);
    clearTimeout(this.#resting);
  }

  /** Mark the conversation that is open, and bring its line into sight. @param {string} id */
  mark(id) {
    this.#open = id;
    if (id) this.#current = id;
    this.show();
    const at = this.#lines.findIndex(({ summary }) => summary.target === id);
    if (at >= 0) this.#reveal(at);
  }

  /** Draw what changed. */
  show() {
    const { store } = this.messenger;
    const all = store.conversations;
    this.#drawFilters(all);
    this.#lines = all.filter((summary) => this.#passes(summary)).map((summary) => lineOf(summary, this.messenger, this.#open));
    this.#draw();
    fill(this.empty, ...(this.#lines.length === 0 ? this.#whyEmpty() : []));
  }

  /** Go to the next conversation of the list, or the one before; by choice only to unread ones. @param {1 | -1} step @param {boolean} unread */
  go(step, unread) {
    const listed = this.listed;
    const open = readHash(location.hash).id; // at once, where `#open` follows an event: for keys pressed fast
    const at = listed.findIndex(({ target }) => target === open);
    const from = at < 0 && step < 0 ? listed.length : at;
    for (let next = from + step; next >= 0 && next < listed.length; next += step) {
      const { target, unread: count, markedUnread } = listed[next];
      if (unread && count === 0 && !markedUnread) continue;
      return void this.messenger.openConversation(target);
    }
  }

  /** @param {ConversationSummary} summary */
  #isArchived({ archived, archivedUpTo, target }) {
    return archived || (archivedUpTo !== null && isMuted(this.messenger, target));
  }

  /** @param {ConversationSummary} summary */
  #passes(summary) {
    const { kind, target, unread, markedUnread } = summary;
    const archived = this.#isArchived(summary);
    if (this.#filter === "archived") return archived;
    // The open one stays where it is while it is read.
    if (this.#filter === "unread") return (!archived && (unread > 0 || markedUnread)) || target === this.#open;
    if (this.#filter === "people") return !archived && kind !== "group";
    return !archived && (this.#filter === "all" || kind === "group");
  }

  /** @param {readonly ConversationSummary[]} all */
  #drawFilters(all) {
    const archived = all.some((summary) => this.#isArchived(summary)) || this.#filter === "archived";
    const there = all.length === 0 ? [] : FILTERS.filter((filter) => filter !== "archived" || archived);
    const drawn = `${there.join()} ${this.#filter}`;
    if (this.filters.dataset.drawn === drawn) return;
    this.filters.dataset.drawn = drawn;
    const labels = { ...words.sidebar, unread: words.sidebar.unreadOnly };
    const focused = this.filters.contains(document.activeElement);
    fill(
      this.filters,
      ...there.map((filter) =>
        button(labels[filter], () => this.#choose(filter), { "aria-pressed": String(filter === this.#filter) }),
      ),
    );
    if (focused) /** @type {HTMLElement | null} */ (this.filters.querySelector("[aria-pressed=true]"))?.focus();
  }

  /** @param {Filter} filter */
  #choose(filter) {
    this.#filter = filter;
    this.scroller.scrollTop = 0;
    this.show();
  }

  #whyEmpty() {
    const { all, ...others } = {
      all: words.sidebar.none, unread: words.sidebar.noneUnread, people: words.sidebar.nonePeople, groups: words.sidebar.noneGroups,
      archived: words.sidebar.noneArchived,
    };
    if (this.#filter !== "all") return [element("p", {}, others[this.#filter])];
    return [element("p", {}, all), button(words.sidebar.noneBegin, () => startConversation(this.messenger), { class: "link" })];
  }

  // ---- the window

  #soon() {
    cancelAnimationFrame(this.#frame);
    this.#frame = requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    const { scrollTop, clientHeight } = this.scroller;
    const height = this.#height || this.#measure();
    const first = Math.max(0, Math.floor(scrollTop / height) - BEYOND);
    const last = Math.ceil((scrollTop + (clientHeight || innerHeight)) / height) + BEYOND;
    if (!this.#lines.some(({ summary }) => summary.target === this.#current)) this.#current = this.#lines[0]?.summary.target ?? "";
    // The line that has the focus, or would get it, is always there.
    const shown = this.#lines
      .map((line, at) => ({ line, at }))
      .filter(({ line, at }) => (at >= first && at < last) || line.summary.target === this.#current);
    const list = /** @type {HTMLElement} */ (this.list.parent);
    const focused = list.contains(document.activeElement);
    this.list.show(shown.map(({ line }) => line));
    list.style.blockSize = `${this.#lines.length * height}px`;
    for (const { line, at } of shown) {
      const node = /** @type {HTMLElement} */ (this.list.node(line.summary.target));
      node.style.insetBlockStart = `${at * height}px`;
      node.setAttribute("aria-posinset", String(at + 1));
      node.setAttribute("aria-setsize", String(this.#lines.length));
      linkOf(node).tabIndex = line.summary.target === this.#current ? 0 : -1;
    }
    const current = this.list.node(this.#current);
    if (focused && current && !list.contains(document.activeElement)) linkOf(current).focus({ preventScroll: true });
  }

  /** Return the height of a line, which the style sheet says. */
  #measure() {
    const probe = element("li", { class: "line" });
    this.list.parent.append(probe);
    const { offsetHeight } = probe;
    probe.remove();
    if (offsetHeight > 0) this.#height = offsetHeight;
    return offsetHeight || 64;
  }

  /** @param {number} at */
  #reveal(at) {
    const height = this.#height || this.#measure();
    const { scrollTop, clientHeight } = this.scroller;
    if (clientHeight === 0) return;
    if (at * height < scrollTop) this.scroller.scrollTop = at * height;
    else if ((at + 1) * height > scrollTop + clientHeight) this.scroller.scrollTop = (at + 1) * height - clientHeight;
    this.#draw();
  }

  // ---- the keyboard and the pointer

  /** @param {FocusEvent} event */
  #focused(event) {
    const id = this.#idAt(event);
    if (!id || id === this.#current) return;
    this.#current = id;
    this.#draw();
  }

  /** @param {KeyboardEvent} event */
  #walk(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || !(event.target instanceof HTMLAnchorElement)) return;
    const at = this.#lines.findIndex(({ summary }) => summary.target === this.#current);
    const page = Math.max(1, Math.floor(this.scroller.clientHeight / (this.#height || 64)) - 1);
    /** @type {Record<string, number>} */
    const steps = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: this.#lines.length - 1, PageDown: at + page, PageUp: at - page };
    const to = steps[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const next = Math.max(0, Math.min(to, this.#lines.length - 1));
    this.#current = this.#lines[next].summary.target;
    this.#reveal(next);
    const node = this.list.node(this.#current);
    if (node) linkOf(node).focus({ preventScroll: true });
  }

  /** A right click, a long press where the system has one, or the key for menus. @param {MouseEvent} event */
  #asked(event) {
    const id = this.#idAt(event);
    if (!id) return;
    event.preventDefault();
    this.#unrest();
    const byKey = event.button !== 2 && event.clientX === 0;
    const node = /** @type {HTMLElement} */ (this.list.node(id));
    this.#openMenu(id, byKey ? linkOf(node) : { x: event.clientX, y: event.clientY });
  }

  /** Where no system makes a long press a wish for the menu. @param {PointerEvent} event */
  #rest(event) {
    const id = this.#idAt(event);
    this.#pressed = false;
    if (event.pointerType !== "touch" || !id) return;
    this.from = { x: event.clientX, y: event.clientY };
    this.#resting = setTimeout(() => {
      this.#pressed = true; // the finger's going up opens nothing
      this.#openMenu(id, linkOf(/** @type {HTMLElement} */ (this.list.node(id))));
    }, LONG_MS);
  }

  /** @param {PointerEvent} [event] */
  #unrest(event) {
    const { x = 0, y = 0 } = this.from ?? {};
    if (event?.type === "pointermove" && Math.hypot(event.clientX - x, event.clientY - y) < 10) return;
    clearTimeout(this.#resting);
  }

  /** @param {string} id @param {Element | { x: number, y: number }} at */
  #openMenu(id, at) {
    const summary = this.messenger.store.conversation(id);
    const entries = lineEntries(summary, this.messenger);
    openMenu(this.messenger.names.title(summary), at, entries);
  }

  /** Return the conversation whose line an event is in. @param {Event} event */
  #idAt({ target }) {
    const node = target instanceof Element ? target.closest(".line") : null;
    return this.#lines.find(({ summary }) => this.list.node(summary.target) === node)?.summary.target;
  }
}

/** @param {HTMLElement} node */
function linkOf(node) {
  return /** @type {HTMLAnchorElement} */ (node.querySelector("a"));
}
