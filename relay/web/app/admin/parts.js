/** What the sections of the administration are made of: headings, lists that load page by page, facts, questions with a reason. */

import { button, element, fill, icon, openDialog } from "../dom.js";
import { moment, wholeTime } from "../format.js";
import { problem } from "../problems.js";
import { words } from "../words.js";
import { hashTo } from "./place.js";
import { texts } from "./texts.js";

/** @import { Child } from "../dom.js" */
/** @import { Administration } from "./administration.js" */
/** @import { Place } from "./place.js" */

const PAUSE_MS = 250;
const PAGE = 50;

/**
 * Draw the heading of a section.
 *
 * @param {string} title
 * @param {string} intro
 * @param {...Child} actions
 */
export function heading(title, intro, ...actions) {
  return element("header", { class: "admin-title" }, element("div", {}, element("h2", {}, title), intro && element("p", { class: "note" }, intro)), element("div", { class: "admin-actions" }, ...actions));
}

/** Draw a way back to a section's list. @param {string} section */
export function back(section) {
  return element("p", { class: "admin-back" }, element("a", { href: hashTo(section), class: "with-icon" }, icon("back"), element("span", {}, texts[/** @type {"users"} */ (section)].title)));
}

/** Draw a moment with its whole date as a title; a dash for none. @param {number | null | undefined} seconds Unix time */
export function time(seconds) {
  return seconds ? element("time", { title: wholeTime(seconds) }, moment(seconds)) : element("span", { class: "none" }, "–");
}

/** Draw facts by their names; without those that have none. @param {Record<string, Child>} named */
export function facts(named) {
  const shown = Object.entries(named).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return element("dl", { class: "admin-facts" }, ...shown.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", { dir: "auto" }, value))));
}

/** Draw a short word that stands for a state. @param {string} text @param {"good" | "warning" | "bad" | ""} [kind] */
export function chip(text, kind = "") {
  return element("span", { class: `admin-chip ${kind}` }, text);
}

/**
 * @template Row
 * @typedef {object} Column
 * @property {string} title
 * @property {(row: Row) => Child | Child[]} draw
 * @property {string} [class]
 */

/**
 * Draw a table. On a phone each row is a card, with the titles beside the values.
 *
 * @template Row
 * @param {string} label
 * @param {Column<Row>[]} columns
 * @param {Row[]} rows
 */
export function table(label, columns, rows) {
  const body = element("tbody", {});
  const add = (/** @type {Row[]} */ more) => body.append(...more.map((row) => drawRow(columns, row)));
  add(rows);
  const head = element("thead", {}, element("tr", {}, ...columns.map((column) => element("th", { scope: "col", class: column.class }, column.title || element("span", { class: "spoken" }, texts.actions)))));
  return { node: element("table", { class: "admin-table", "aria-label": label }, head, body), add, clear: () => fill(body) };
}

/** @template Row @param {Column<Row>[]} columns @param {Row} row */
function drawRow(columns, row) {
  return element("tr", {}, ...columns.map((column) => element("td", { "data-label": column.title, class: column.class }, element("div", {}, ...[column.draw(row)].flat()))));
}

/**
 * @typedef {object} Filter one field over a list; its value is in the address, and in the call's query
 * @property {string} name
 * @property {string} label
 * @property {Record<string, string>} [options] texts by value, for a choice; without them one types
 * @property {string} [hint] shown in the empty field
 */

/**
 * Draw a list that comes page by page, with fields that narrow it.
 *
 * @template Row
 * @param {Administration} admin
 * @param {Place} place
 * @param {{ section: string, path: string, rows: string, label: string, columns: Column<Row>[], filters?: Filter[], query?: Record<string, string>, kept?: Record<string, string>, empty?: string, limit?: number }} of
 *   rows: the key of the rows in the answer; query: what narrows it always; kept: what else the address says
 */
export function listing(admin, place, { section, path, rows: key, label, columns, filters = [], query: always = {}, kept = {}, empty = texts.nothing, limit = PAGE }) {
  /** @type {Record<string, string>} */
  const query = Object.fromEntries(filters.map(({ name }) => [name, place.query.get(name) ?? ""]));
  const drawn = table(label, columns, /** @type {Row[]} */ ([]));
  const told = element("p", { class: "told", role: "status" });
  const failure = element("p", { class: "failure", role: "alert" });
  const more = button(texts.more, () => void load(false), { hidden: true });
  /** @type {string | null} */
  let cursor = null;
  let asked = 0;
  let shown = 0;
  const load = async (/** @type {boolean} */ anew) => {
    const mine = ++asked;
    more.disabled = true;
    if (shown === 0) fill(told, words.settings.loading);
    try {
      const given = Object.fromEntries(Object.entries(query).filter(([, value]) => value !== ""));
      const page = await admin.get(path, { ...given, ...always, limit, ...(!anew && cursor && { cursor }) });
      if (mine !== asked) return;
      if (anew) [shown] = (drawn.clear(), [0]);
      drawn.add(page[key]);
      shown += page[key].length;
      cursor = page.has_more === false ? null : (page.next_cursor ?? null);
      fill(failure);
      fill(told, shown === 0 ? empty : "");
      drawn.node.hidden = shown === 0;
      more.hidden = cursor === null;
    } catch (error) {
      if (mine === asked) (fill(failure, problem(error)), fill(told));
    }
    more.disabled = false;
  };
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const changed = (/** @type {string} */ name, /** @type {string} */ value, pause = 0) => {
    asked += 1; // an answer that is on its way is to what was chosen before
    query[name] = value;
    history.replaceState(null, "", hashTo(section, place.id, { ...kept, ...query }));
    clearTimeout(timer);
    timer = setTimeout(() => void load(true), pause);
  };
  admin.signal.addEventListener("abort", () => clearTimeout(timer));
  const bar = filters.length > 0 && element("form", { class: "admin-filters", role: "search", onsubmit: (/** @type {Event} */ event) => event.preventDefault() }, ...filters.map((filter) => drawFilter(filter, query[filter.name], changed)));
  void load(true);
  return element("div", { class: "admin-listing" }, bar, failure, told, element("div", { class: "admin-scroll" }, drawn.node), element("p", {}, more));
}

/** @param {Filter} filter @param {string} value @param {(name: string, value: string, pause?: number) => void} changed */
function drawFilter({ name, label, options, hint }, value, changed) {
  const control = options
    ? element("select", { onchange: () => changed(name, control.value) }, ...Object.entries({ "": texts.any, ...options }).map(([key, text]) => element("option", { value: key, selected: key === value }, text)))
    : element("input", { type: "search", value, dir: "auto", autocomplete: "off", spellcheck: "false", placeholder: hint, oninput: () => changed(name, control.value.trim(), PAUSE_MS) });
  return element("label", { class: "admin-filter" }, element("span", {}, label), control);
}

/**
 * Ask before an act, and for the reason that goes into the audit log and, where it concerns a person, to them.
 *
 * @param {string} question
 * @param {string} yes what the button says
 * @param {{ why?: string, reason?: boolean, danger?: boolean, fields?: HTMLElement[] }} [more] reason: whether to ask for one
 * @returns {Promise<string | null>} the reason, maybe empty; null for a no
 */
export function askFirst(question, yes, { why = "", reason = false, danger = true, fields = [] } = {}) {
  return new Promise((resolve) => {
    /** @type {string | null} */
    let answer = null;
    const field = element("input", { dir: "auto", maxlength: 500, autocomplete: "off" });
    const form = element(
      "form",
      { onsubmit: (/** @type {Event} */ event) => (event.preventDefault(), (answer = field.value.trim()), dialog.close()) },
      why && element("p", {}, why),
      ...fields,
      reason && element("label", { class: "field" }, element("span", {}, texts.reason), field),
      element("p", { class: "choice" }, button(words.common.cancel, () => dialog.close(), { type: "button" }), element("button", { class: danger ? "danger" : "primary" }, yes)),
    );
    const dialog = openDialog(question, form);
    dialog.addEventListener("close", () => resolve(answer));
  });
}

/**
 * Draw a button that does something and then shows the section anew.
 *
 * @param {Administration} admin
 * @param {string} label
 * @param {() => Promise<unknown>} act what it does; false for nothing
 * @param {Record<string, any>} [attributes]
 */
export function act(admin, label, act, attributes) {
  const node = button(label, () => void press(), attributes);
  const press = async () => {
    node.disabled = true;
    try {
      if ((await act()) !== false) admin.again();
    } catch (error) {
      admin.failed(error);
    }
    node.disabled = false;
  };
  return node;
}
