/** The search: people and groups first, then messages, a page at a time; everywhere, or in one conversation. */

import { button, element, fill, icon } from "../dom.js";
import { problem } from "../problems.js";
import { counted, words } from "../words.js";
import { drawMessage, drawPlace, placeOf } from "./found.js";
import { queryOf } from "./matching.js";
import { knownPlaces, peopleCalled } from "./places-found.js";

/** @import { Messenger } from "../messenger.js" */
/** @import { Envelope } from "../../sdk/types.js" */
/** @import { FoundPlace } from "./found.js" */

const PAUSE_MS = 250;
const PAGE = 30;
const MOST_PLACES = 6;

export class SearchBox {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #running = new AbortController();
  /** @type {FoundPlace[]} */
  #places = [];
  /** @type {{ message: Envelope<any>, snippet: string }[]} */
  #found = [];
  /** @type {any} as the answer before had it */
  #cursor = null;
  #hasMore = false;
  /** The conversation that is searched; empty for all. */
  #within = "";
  #covers;
  #forget;

  /**
   * @param {Messenger} messenger
   * @param {(searching: boolean) => void} covers called when results take the place of the list, or give it back
   */
  constructor(messenger, covers) {
    this.messenger = messenger;
    this.#covers = covers;
    this.input = element("input", {
      type: "search",
      placeholder: words.sidebar.search,
      dir: "auto",
      autocomplete: "off",
      enterkeyhint: "search",
      "aria-label": words.sidebar.searchLabel,
      oninput: () => this.#wait(),
      onkeydown: (/** @type {KeyboardEvent} */ event) => this.#typed(event),
    });
    this.clearing = button(words.sidebar.clear, () => (this.clear(), this.input.focus()), { sign: icon("close"), class: "quiet clear" });
    this.clearing.hidden = true;
    this.scope = element("p", { class: "scope", hidden: true });
    this.told = element("p", { class: "told", role: "status" });
    this.results = element("div", { class: "results", role: "region", "aria-label": words.sidebar.results, hidden: true });
    this.results.addEventListener("keydown", (event) => this.#walk(event));
    const box = element("div", { class: "search-box" }, icon("search"), this.input, this.clearing);
    this.node = element("search", {}, box, this.scope);
    this.below = element("div", { class: "below-search", hidden: true }, this.told, this.results);
    this.#forget = messenger.names.onChange(() => this.#show());
  }

  close() {
    this.#forget();
    clearTimeout(this.#timer);
    this.#running.abort();
  }

  /** Search for what is typed from now on in one conversation. @param {string} id */
  within(id) {
    this.#within = id;
    const name = this.messenger.names.title(this.messenger.store.conversation(id));
    this.input.placeholder = words.sidebar.searchIn(name);
    this.scope.hidden = false;
    fill(this.scope, element("span", {}, words.sidebar.inOnly(name)), button(words.sidebar.everywhereInstead, () => this.#everywhere(), { class: "link" }));
    this.#reach();
    this.#wait();
  }

  /** Search everywhere for a text. @param {string} text */
  for(text) {
    this.#everywhere();
    this.input.value = text;
    this.#reach();
    this.#wait();
  }

  /** Go into the field. On a phone the open conversation is before it: it is left. */
  #reach() {
    if (this.input.checkVisibility()) return this.input.focus();
    addEventListener("hashchange", () => this.input.focus(), { once: true });
    location.hash = "";
  }

  clear() {
    this.input.value = "";
    this.#everywhere();
  }

  #everywhere() {
    this.#within = "";
    this.input.placeholder = words.sidebar.search;
    this.scope.hidden = true;
    this.#wait();
  }

  /** @param {KeyboardEvent} event */
  #typed(event) {
    if (event.isComposing) return;
    const first = /** @type {HTMLElement | null} */ (this.results.querySelector("button"));
    if (event.key === "Escape") {
      if (this.input.value === "" && !this.#within) this.input.blur();
      this.clear();
    } else if (event.key === "ArrowDown") first?.focus();
    else if (event.key === "Enter") first?.click();
    else return;
    event.preventDefault();
  }

  /** @param {KeyboardEvent} event */
  #walk(event) {
    const lines = [.../** @type {NodeListOf<HTMLElement>} */ (this.results.querySelectorAll("button"))];
    const at = lines.indexOf(/** @type {HTMLElement} */ (document.activeElement));
    /** @type {Record<string, HTMLElement | undefined>} */
    const steps = { ArrowDown: lines[at + 1], ArrowUp: lines[at - 1] ?? this.input, Home: lines[0], End: lines.at(-1), Escape: this.input };
    const next = steps[event.key];
    if (!next || at < 0) return;
    event.preventDefault();
    next.focus();
  }

  #wait() {
    clearTimeout(this.#timer);
    this.#running.abort();
    const typed = this.input.value.trim();
    this.clearing.hidden = typed === "" && !this.#within;
    this.below.hidden = typed === "";
    this.#covers(typed !== "");
    [this.#found, this.#hasMore, this.#cursor] = [[], false, null];
    this.#places = typed && !this.#within ? knownPlaces(this.messenger, typed).slice(0, MOST_PLACES) : [];
    this.#show();
    fill(this.told, typed ? words.sidebar.searching : "");
    if (typed) this.#timer = setTimeout(() => void this.#search(typed), PAUSE_MS);
  }

  /** @param {string} typed */
  async #search(typed) {
    const { signal } = (this.#running = new AbortController());
    const people = this.#within ? Promise.resolve([]) : peopleCalled(this.messenger, typed, this.#places, signal);
    const messages = this.#page(typed, signal);
    const others = await people;
    if (signal.aborted) return;
    this.#places = [...this.#places, ...others].slice(0, MOST_PLACES);
    this.#show();
    await messages;
  }

  /** Fetch the next page of messages. @param {string} typed @param {AbortSignal} signal */
  async #page(typed, signal) {
    const query = queryOf(typed);
    const within = this.#within && (this.messenger.store.conversation(this.#within).kind === "group" ? { group: this.#within } : { user: this.#within });
    try {
      const page = query
        ? await this.messenger.messaging.searchMessages(query, { limit: PAGE, order: "newest", cursor: this.#cursor ?? undefined, signal, ...within })
        : { results: [], hasMore: false, nextCursor: null };
      if (signal.aborted) return;
      this.#found = [...this.#found, ...page.results];
      [this.#hasMore, this.#cursor] = [page.hasMore, page.nextCursor];
      this.#show();
      fill(this.told, this.#summed(typed));
    } catch (error) {
      if (signal.aborted) return;
      fill(this.told, this.messenger.socket.connectionState === "connected" ? problem(error) : words.sidebar.offline);
    }
  }

  /** @param {string} typed */
  #summed(typed) {
    const count = this.#found.length;
    if (count > 0) return counted(count, this.#hasMore ? words.sidebar.foundMore : words.sidebar.found);
    return this.#places.length > 0 ? "" : words.sidebar.nothingWhere(typed);
  }

  /** Draw the results; again when a name becomes known. */
  #show() {
    const lines = [
      ...this.#section(words.sidebar.foundPlaces, this.#places.map((place) => this.#place(place))),
      ...this.#section(words.sidebar.foundMessages, this.#found.map((found) => this.#message(found))),
    ];
    const focused = [...this.results.querySelectorAll("button")].indexOf(/** @type {any} */ (document.activeElement));
    this.results.hidden = lines.length === 0;
    fill(this.results, ...lines, this.#hasMore && button(words.sidebar.showMore, () => void this.#page(this.input.value, this.#running.signal), { class: "link more" }));
    this.results.querySelectorAll("button")[focused]?.focus();
  }

  /** @param {string} title @param {HTMLElement[]} lines */
  #section(title, lines) {
    if (lines.length === 0) return [];
    return [element("h2", {}, title), element("ul", { "aria-label": title }, ...lines.map((line) => element("li", {}, line)))];
  }

  /** @param {FoundPlace} place */
  #place(place) {
    const name = place.group ? place.name : this.messenger.names.of(place.id); // it may have become known since
    return element("button", { type: "button", class: "person", onclick: () => void this.messenger.openConversation(place.id) }, ...drawPlace({ ...place, name }));
  }

  /** @param {{ message: Envelope<any>, snippet: string }} found */
  #message({ message, snippet }) {
    const { messenger } = this;
    const press = () => void messenger.openConversation(placeOf(message, messenger), message.meta.seq).catch(messenger.failed);
    return drawMessage(message, messenger, { snippet, press });
  }
}
