/** The emoji picker: all emoji by group, a search, and those used lately. It floats; with a finger it is a sheet. */

import { button, element, fill } from "../dom.js";
import { isTouch, openFloat, openSheet } from "../menu.js";
import { words } from "../words.js";
import { find, inTone, keepChoice, loadEmoji, readChoices, TONES } from "./data.js";

/** @import { Emoji } from "./data.js" */
/** @import { Anchor } from "../menu.js" */

/** What stands for each group of Unicode. */
const SIGNS = ["😀", "👋", "🐻", "🍎", "✈️", "⚽", "💡", "❤️", "🏳️"];
const RECENT = "🕘";
const COLUMNS = { fine: 9, coarse: 7 };
const HAND = "✋";

/**
 * Let the user choose an emoji.
 *
 * @param {Anchor} anchor what the picker floats beside
 * @returns {Promise<string | null>} null where none was chosen
 */
export function pickEmoji(anchor) {
  return new Promise((resolve) => {
    /** @type {string | null} */
    let chosen = null;
    const choose = (/** @type {string} */ emoji) => {
      chosen = emoji;
      keepChoice({ recent: emoji });
      opened.close();
    };
    const picker = new Picker(choose);
    const opened = isTouch() ? openSheet(words.emoji.title, picker.node) : openFloat(anchor, picker.node);
    const end = (/** @type {Event} */ event) => {
      if (event.type === "close" || /** @type {ToggleEvent} */ (event).newState === "closed") resolve(chosen);
    };
    opened.node.addEventListener(opened.node instanceof HTMLDialogElement ? "close" : "toggle", end);
    void picker.show();
  });
}

class Picker {
  #tone = readChoices().tone;
  #columns = isTouch() ? COLUMNS.coarse : COLUMNS.fine;
  /** @type {Emoji[][]} */
  #groups = [];
  #choose;

  /** @param {(emoji: string) => void} choose */
  constructor(choose) {
    this.#choose = choose;
    this.search = element("input", {
      type: "search",
      "aria-label": words.emoji.search,
      placeholder: words.emoji.search,
      autocomplete: "off",
      enterkeyhint: "go",
      oninput: () => this.#draw(),
      onkeydown: (/** @type {KeyboardEvent} */ event) => this.#keyInSearch(event),
    });
    this.tabs = element("div", { class: "tabs", role: "group", "aria-label": words.emoji.groups });
    this.grid = element("div", {
      class: "grid",
      role: "grid",
      "aria-label": words.emoji.title,
      onkeydown: (/** @type {KeyboardEvent} */ event) => this.#walk(event),
      onclick: (/** @type {Event} */ { target }) => this.#press(target),
      onfocusin: (/** @type {Event} */ { target }) => this.#tell(target),
      onpointerover: (/** @type {Event} */ { target }) => this.#tell(target),
    });
    this.told = element("span", { class: "told-name", "aria-live": "polite" });
    this.tones = element(
      "select",
      { class: "tones", "aria-label": words.emoji.tone, onchange: () => this.#toneChanged() },
      ...TONES.map((tone, at) => element("option", { value: at, "aria-label": words.emoji.tones[at], selected: at === this.#tone }, `${HAND}${tone}`)),
    );
    this.node = element("div", { class: "emoji-picker" }, this.search, this.tabs, this.grid, element("footer", {}, this.told, this.tones));
  }

  /** Load the emoji, and draw them. */
  async show() {
    if (!isTouch()) this.search.focus({ preventScroll: true }); // a phone's keyboard would cover the emoji
    fill(this.grid, element("p", { class: "note" }, words.emoji.loading));
    try {
      this.#groups = await loadEmoji();
    } catch {
      const again = button(words.emoji.again, () => void this.show(), { class: "link" });
      return fill(this.grid, element("p", { class: "note", role: "alert" }, words.emoji.away, " ", again));
    }
    this.#draw();
  }

  #draw() {
    const query = this.search.value;
    this.tabs.hidden = query !== "";
    this.grid.scrollTop = 0;
    if (query) {
      const found = find(query);
      return found.length > 0 ? this.#fill([["", found]]) : fill(this.grid, element("p", { class: "note", role: "status" }, words.emoji.none));
    }
    const known = new Map(this.#groups.flat().flatMap((one) => TONES.map((_, tone) => [inTone(one, tone), one])));
    const recent = readChoices().recent.flatMap((emoji) => (known.has(emoji) ? { .../** @type {Emoji} */ (known.get(emoji)), emoji, toned: false } : []));
    /** @type {[string, string, Emoji[]][]} */
    const groups = this.#groups.map((group, at) => [SIGNS[at], words.emoji.names[at], group]);
    if (recent.length > 0) groups.unshift([RECENT, words.emoji.recent, recent]);
    this.#fill(groups.map(([, name, group]) => [name, group]));
    fill(this.tabs, ...groups.map(([sign, name], at) => button(name, () => this.#goTo(at), { sign, class: "quiet" })));
  }

  /** @param {[name: string, group: Emoji[]][]} groups */
  #fill(groups) {
    fill(
      this.grid,
      ...groups.map(([name, group]) => {
        const rows = Array.from({ length: Math.ceil(group.length / this.#columns) }, (_, row) => {
          const cells = group.slice(row * this.#columns, (row + 1) * this.#columns).map((one) => this.#cell(one));
          return element("div", { role: "row" }, ...cells);
        });
        const heading = name && element("p", { class: "heading", "aria-hidden": "true" }, name);
        return element("div", { class: "group", role: "rowgroup", "aria-label": name || null }, heading, ...rows);
      }),
    );
    const first = this.#cells()[0];
    if (first) first.tabIndex = 0;
  }

  /** @param {Emoji} one */
  #cell(one) {
    const emoji = inTone(one, this.#tone);
    return element("span", { role: "gridcell", tabindex: -1, "aria-label": one.name, "data-emoji": emoji, "data-code": one.code }, emoji);
  }

  /** @returns {HTMLElement[]} */
  #cells() {
    return [...this.grid.querySelectorAll(".group [role='gridcell']")].map((one) => /** @type {HTMLElement} */ (one));
  }

  /** @param {number} at */
  #goTo(at) {
    const group = /** @type {HTMLElement} */ (this.grid.children[at]);
    this.grid.scrollTop = group.offsetTop - this.grid.offsetTop;
    const first = /** @type {HTMLElement | null} */ (group.querySelector("[role='gridcell']"));
    if (first) this.#rove(first, false);
  }

  #toneChanged() {
    this.#tone = Number(this.tones.value);
    keepChoice({ tone: this.#tone });
    this.#draw();
  }

  /** @param {EventTarget | null} target */
  #press(target) {
    const emoji = target instanceof HTMLElement && target.dataset.emoji;
    if (emoji) this.#choose(emoji);
  }

  /** @param {EventTarget | null} target */
  #tell(target) {
    if (!(target instanceof HTMLElement) || !target.dataset.emoji) return;
    const { code, emoji } = target.dataset;
    fill(this.told, element("b", {}, emoji), " ", target.getAttribute("aria-label"), code && element("small", {}, ` :${code}:`));
  }

  /** @param {KeyboardEvent} event */
  #keyInSearch(event) {
    const [first] = this.#cells();
    if (event.isComposing || !first) return;
    if (event.key === "ArrowDown") this.#rove(first, true);
    else if (event.key === "Enter" && this.search.value) this.#press(first);
    else if (event.key !== "Enter") return;
    event.preventDefault();
  }

  /** @param {KeyboardEvent} event */
  #walk(event) {
    const cells = this.#cells();
    const now = cells.indexOf(/** @type {HTMLElement} */ (document.activeElement));
    if (now < 0) return;
    if (event.key === "Enter" || event.key === " ") this.#press(cells[now]);
    else {
      const to = this.#target(cells, now, event);
      if (to === null) return;
      if (to) this.#rove(to, true);
      else this.search.focus();
    }
    event.preventDefault();
  }

  /**
   * Return the cell to which a key leads; undefined for the search, null for none.
   *
   * @param {HTMLElement[]} cells
   * @param {number} now
   * @param {KeyboardEvent} event
   */
  #target(cells, now, { key, ctrlKey }) {
    const forward = getComputedStyle(this.grid).direction === "rtl" ? "ArrowLeft" : "ArrowRight";
    const rows = [...this.grid.querySelectorAll("[role='row']")];
    const row = rows.indexOf(/** @type {Element} */ (cells[now].parentElement));
    const column = [...rows[row].children].indexOf(cells[now]);
    const inRow = (/** @type {number} */ at) => {
      const there = rows[Math.min(at, rows.length - 1)].children;
      return /** @type {HTMLElement} */ (there[Math.min(column, there.length - 1)]);
    };
    if (key === forward) return cells[now + 1] ?? null;
    if (key === "ArrowLeft" || key === "ArrowRight") return now === 0 ? undefined : cells[now - 1];
    if (key === "ArrowDown") return row === rows.length - 1 ? null : inRow(row + 1);
    if (key === "ArrowUp") return row === 0 ? undefined : inRow(row - 1);
    if (key === "PageDown") return inRow(row + 5);
    if (key === "PageUp") return inRow(Math.max(0, row - 5));
    if (key === "Home") return ctrlKey ? cells[0] : /** @type {HTMLElement} */ (rows[row].firstElementChild);
    if (key === "End") return ctrlKey ? cells.at(-1) : /** @type {HTMLElement} */ (rows[row].lastElementChild);
    return null;
  }

  /** @param {HTMLElement} to @param {boolean} focus */
  #rove(to, focus) {
    for (const one of this.grid.querySelectorAll("[tabindex='0']")) /** @type {HTMLElement} */ (one).tabIndex = -1;
    to.tabIndex = 0;
    if (focus) to.focus();
  }
}
