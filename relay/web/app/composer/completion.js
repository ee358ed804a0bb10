/**
 * Completion in a text field: a list above it of what may be meant by the word at the caret. People, emoji and commands are
 * sources of it. The field keeps the focus; for screen readers the list is the field's, as `aria-activedescendant` says.
 */

import { element, fill } from "../dom.js";
import { counted, words } from "../words.js";
import { replace } from "./typing.js";

/**
 * @typedef {object} Choice
 * @property {string} text what takes the place of the word
 * @property {(HTMLElement | string | false | null | undefined)[]} shown
 */

/**
 * @typedef {object} Source
 * @property {string} label the name of its list
 * @property {RegExp} word matches the text before the caret; its last group is the word that is replaced
 * @property {(word: string) => Choice[]} choices those that are known now
 * @property {(word: string) => Promise<unknown>} [load] learns more; the choices are asked for again then
 * @property {(word: string, choice: Choice) => boolean} [isWhole] whether Enter is to send, as the word is whole
 */

const LIST = "completion";

export class Completion {
  /** @type {Choice[]} */
  #choices = [];
  /** @type {Source | null} */
  #source = null;
  #active = 0;
  #word = "";
  /** Whether one was chosen by the arrow keys: it stays active while more become known. */
  #moved = false;
  /** The word for which the list was closed. */
  #dismissed = "";

  /**
   * @param {HTMLTextAreaElement} field
   * @param {Source[]} sources
   */
  constructor(field, sources) {
    this.field = field;
    this.sources = sources;
    this.list = element("ul", { role: "listbox", id: LIST, hidden: true });
    this.told = element("p", { class: "spoken", role: "status" });
    this.node = element("div", { class: "completion" }, this.list, this.told);
    field.setAttribute("aria-autocomplete", "list");
    field.setAttribute("aria-haspopup", "listbox");
  }

  /** Whether the list is open. */
  get open() {
    return this.#choices.length > 0;
  }

  /** Show what fits the word at the caret. */
  typed() {
    const { source, word } = this.#found();
    if (word !== this.#dismissed) this.#dismissed = "";
    this.#show(source, word);
    void source?.load?.(word).then(
      () => {
        const now = this.#found();
        if (now.source === source && now.word === word) this.#show(source, word);
      },
      () => {}, // without a network there is only what is known
    );
  }

  /** Draw the list again where it is open: a name in it may be known by now. */
  renew() {
    if (!this.open) return;
    const { source, word } = this.#found();
    this.#show(source, word);
  }

  close() {
    this.#show(null, "");
  }

  /**
   * Take a key while the list is open; tells whether it did.
   *
   * @param {KeyboardEvent} event
   */
  key({ key, shiftKey, ctrlKey, metaKey, altKey }) {
    if (!this.open || ctrlKey || metaKey || altKey) return false;
    const choice = this.#choices[this.#active];
    if (key === "ArrowDown" || key === "ArrowUp") this.#move(key === "ArrowDown" ? 1 : -1);
    else if (key === "Escape") (this.#dismissed = this.#word), this.close();
    else if (key === "Tab" && !shiftKey) this.#take(choice);
    else if (key === "Enter" && !shiftKey && !this.#source?.isWhole?.(this.#word, choice)) this.#take(choice);
    else return false;
    return true;
  }

  /** @returns {{ source: Source | null, word: string }} */
  #found() {
    const { selectionStart: caret, selectionEnd, value } = this.field;
    if (caret !== selectionEnd) return { source: null, word: "" };
    for (const source of this.sources) {
      const word = value.slice(0, caret).match(source.word)?.at(-1);
      if (word !== undefined) return { source, word };
    }
    return { source: null, word: "" };
  }

  /** @param {Source | null} source @param {string} word */
  #show(source, word) {
    if (word !== this.#word) this.#moved = false;
    const before = this.#moved ? this.#choices[this.#active]?.text : "";
    const wasOpen = this.open;
    this.#choices = source && word !== this.#dismissed ? source.choices(word) : [];
    this.#source = source;
    this.#word = word;
    this.#active = Math.max(0, this.#choices.findIndex(({ text }) => text === before));
    fill(this.list, ...this.#choices.map((choice, place) => this.#draw(choice, place)));
    this.list.hidden = !this.open;
    this.list.setAttribute("aria-label", source?.label ?? "");
    if (this.open) this.field.setAttribute("aria-controls", LIST);
    else this.field.removeAttribute("aria-controls");
    this.#mark();
    if (this.open || wasOpen) fill(this.told, this.open ? counted(this.#choices.length, words.composer.suggestions) : "");
  }

  /** @param {Choice} choice @param {number} place */
  #draw(choice, place) {
    // `mousedown` would take the focus away from the text.
    const hold = (/** @type {Event} */ event) => event.preventDefault();
    return element(
      "li",
      { role: "option", id: `${LIST}-${place}`, onmousedown: hold, onclick: () => this.#take(choice) },
      ...choice.shown.map((part) => part || null),
    );
  }

  /** @param {number} step */
  #move(step) {
    this.#moved = true;
    this.#active = (this.#active + step + this.#choices.length) % this.#choices.length;
    this.#mark();
  }

  /** Mark the active choice, for the eyes and for screen readers. */
  #mark() {
    [...this.list.children].forEach((row, place) => row.setAttribute("aria-selected", String(place === this.#active)));
    const row = this.list.children[this.#active];
    if (row) this.field.setAttribute("aria-activedescendant", row.id);
    else this.field.removeAttribute("aria-activedescendant");
    row?.scrollIntoView({ block: "nearest" });
  }

  /** @param {Choice} choice */
  #take({ text }) {
    const to = this.field.selectionStart;
    replace(this.field, { from: to - this.#word.length, to }, text);
  }
}
