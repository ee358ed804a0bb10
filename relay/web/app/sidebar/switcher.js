/**
 * The switcher (Ctrl+K): one field for people, groups, messages and commands. What is known here is found at once, also
 * without a network; the server adds people and messages.
 */

import { element, fill, icon, openDialog } from "../dom.js";
import { words } from "../words.js";
import { commands } from "./commands.js";
import { drawMessage, drawPlace, placeOf } from "./found.js";
import { queryOf, rank } from "./matching.js";
import { knownPlaces, peopleCalled } from "./places-found.js";
import { keysText } from "./shortcuts.js";

/** @import { Messenger } from "../messenger.js" */
/** @import { Envelope } from "../../sdk/types.js" */
/** @import { FoundPlace } from "./found.js" */

/** @typedef {{ title: string, options: { content: import("../dom.js").Child[], press: () => void }[] }} Section */

const PAUSE_MS = 200;
const MOST_PLACES = 8;
const MOST_MESSAGES = 5;
const LEAST_LETTERS = 2;

/** @type {HTMLDialogElement | null} */
let opened = null;

/** Open the switcher; close it where it is open. @param {Messenger} messenger */
export function openSwitcher(messenger) {
  if (opened) return opened.close();
  new Switcher(messenger);
}

class Switcher {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #running = new AbortController();
  /** @type {FoundPlace[]} */
  #people = [];
  /** @type {{ message: Envelope<any>, snippet: string }[]} */
  #messages = [];
  /** @type {(() => void)[]} */
  #presses = [];
  #at = 0;

  /** @param {Messenger} messenger */
  constructor(messenger) {
    this.messenger = messenger;
    this.list = element("div", { class: "options", role: "listbox", id: "switcher-options", "aria-label": words.sidebar.results });
    this.input = element("input", {
      type: "text", role: "combobox", "aria-expanded": "true", "aria-controls": this.list.id, "aria-autocomplete": "list",
      "aria-label": words.sidebar.switch, placeholder: words.sidebar.switchHint, autocomplete: "off", spellcheck: "false", dir: "auto", autofocus: true,
      oninput: () => this.#typed(),
      onkeydown: (/** @type {KeyboardEvent} */ event) => this.#keys(event),
    });
    this.told = element("p", { class: "told", role: "status" });
    this.dialog = openDialog(words.sidebar.switch, element("div", { class: "switch" }, element("div", { class: "search-box" }, icon("search"), this.input), this.told, this.list));
    this.dialog.classList.add("switcher");
    opened = this.dialog;
    const ends = [messenger.names.onChange(() => this.#draw()), messenger.store.subscribe("conversations", () => this.#draw())];
    this.dialog.addEventListener("close", () => {
      opened = null;
      for (const end of ends) end();
      clearTimeout(this.#timer);
      this.#running.abort();
    });
    this.#draw();
  }

  #typed() {
    this.#at = 0;
    [this.#people, this.#messages] = [[], []];
    this.#draw();
    clearTimeout(this.#timer);
    this.#running.abort();
    const typed = this.input.value.trim();
    if (typed.length >= LEAST_LETTERS) this.#timer = setTimeout(() => void this.#ask(typed), PAUSE_MS);
  }

  /** @param {string} typed */
  async #ask(typed) {
    const { signal } = (this.#running = new AbortController());
    const query = queryOf(typed);
    const { messaging } = this.messenger;
    const page = query ? messaging.searchMessages(query, { limit: MOST_MESSAGES, signal }).catch(() => null) : null;
    const people = await peopleCalled(this.messenger, typed, knownPlaces(this.messenger, typed, 3), signal);
    if (signal.aborted) return;
    this.#people = people;
    this.#draw();
    const found = (await page)?.results ?? [];
    if (signal.aborted) return;
    this.#messages = found;
    this.#draw();
  }

  /** @param {string} typed @returns {Section[]} */
  #sections(typed) {
    const { messenger } = this;
    const places = [...knownPlaces(messenger, typed, 3), ...this.#people].slice(0, MOST_PLACES);
    const meant = commands(messenger)
      .map((command) => ({ command, rank: rank(typed, command.label(), ...(command.words?.().split(", ") ?? [])) }))
      .filter((one) => one.rank <= (typed.length < 3 ? 1 : 2));
    const found = this.#messages.map(({ message, snippet }) => ({
      content: [...drawMessage(message, messenger, { snippet, press: () => {} }).childNodes],
      press: () => void messenger.openConversation(placeOf(message, messenger), message.meta.seq).catch(messenger.failed),
    }));
    const further = { content: [icon("search"), words.sidebar.searchMessages(typed)], press: () => messenger.sidebar?.search.for(typed) };
    return [
      { title: typed ? words.sidebar.foundPlaces : words.sidebar.recent, options: places.map((place) => this.#place(place)) },
      { title: words.sidebar.foundCommands, options: meant.map(({ command }) => this.#command(command)) },
      { title: words.sidebar.foundMessages, options: queryOf(typed) ? [...found, further] : [] },
    ];
  }

  /** @param {FoundPlace} place */
  #place(place) {
    return { content: drawPlace(place), press: () => void this.messenger.openConversation(place.id) };
  }

  /** @param {import("./commands.js").PageCommand} command */
  #command({ label, icon: sign, hint, press }) {
    return {
      content: [sign ? icon(sign) : null, element("span", { class: "name" }, label()), hint ? element("kbd", {}, keysText(hint)) : null],
      press: () => press(this.messenger),
    };
  }

  #draw() {
    const sections = this.#sections(this.input.value.trim()).filter(({ options }) => options.length > 0);
    this.#presses = sections.flatMap(({ options }) => options.map(({ press }) => press));
    let number = 0;
    fill(
      this.list,
      ...sections.map(({ title, options }, at) =>
        element(
          "div",
          { role: "group", "aria-labelledby": `switcher-${at}` },
          element("h3", { id: `switcher-${at}`, role: "presentation" }, title),
          ...options.map(({ content }) => this.#option(number++, content)),
        ),
      ),
    );
    fill(this.told, this.#presses.length === 0 ? words.sidebar.nothing : "");
    this.#mark(Math.min(this.#at, this.#presses.length - 1));
  }

  /** @param {number} number @param {import("../dom.js").Child[]} content */
  #option(number, content) {
    return element(
      "div",
      {
        role: "option", class: "option", id: `switcher-option-${number}`, onclick: () => this.#choose(number),
        onpointermove: (/** @type {PointerEvent} */ { pointerType }) => pointerType === "mouse" && number !== this.#at && this.#mark(number, false),
      },
      ...content,
    );
  }

  /** @param {number} at @param {boolean} [reveal] */
  #mark(at, reveal = true) {
    this.#at = Math.max(0, at);
    for (const [number, option] of this.list.querySelectorAll("[role=option]").entries()) {
      option.setAttribute("aria-selected", String(number === this.#at));
      if (number === this.#at && reveal) option.scrollIntoView({ block: "nearest" });
    }
    if (at >= 0) this.input.setAttribute("aria-activedescendant", `switcher-option-${this.#at}`);
    else this.input.removeAttribute("aria-activedescendant");
  }

  /** @param {KeyboardEvent} event */
  #keys(event) {
    if (event.isComposing || event.keyCode === 229) return;
    const count = this.#presses.length;
    /** @type {Record<string, number>} */
    const steps = { ArrowDown: (this.#at + 1) % count, ArrowUp: (this.#at + count - 1) % count, PageDown: Math.min(this.#at + 5, count - 1), PageUp: this.#at - 5 };
    if (event.key === "Enter") this.#choose(this.#at);
    else if (count > 0 && event.key in steps) this.#mark(steps[event.key]);
    else return;
    event.preventDefault();
  }

  /** @param {number} number */
  #choose(number) {
    const press = this.#presses[number];
    if (!press) return;
    this.dialog.close();
    press();
  }
}
