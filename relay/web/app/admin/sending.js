/** What admins send: a notification to a user, a group or everybody; and, for owners, messages of another system from a file. */

import { element, field, fill } from "../dom.js";
import { problem } from "../problems.js";
import { BASE } from "../session.js";
import { select } from "../settings/parts.js";
import { NUMBER } from "../words.js";
import { chip, facts, heading, table } from "./parts.js";
import { texts } from "./texts.js";

/** @import { Administration } from "./administration.js" */

const own = texts.sending;
const EVERYBODY = "*";

/** @param {Administration} admin */
export function draw(admin) {
  return [
    heading(own.title, own.intro),
    element("section", { class: "admin-card" }, element("h3", {}, own.notify), notifyForm(admin)),
    admin.may("owner") && element("section", { class: "admin-card" }, element("h3", {}, own.import), element("p", { class: "note" }, own.importWhy), importForm(admin)),
  ].filter((one) => one !== false);
}

/** @param {Administration} admin */
function notifyForm(admin) {
  const to = element("input", { required: true, maxlength: 64, autocomplete: "off", autocapitalize: "none", spellcheck: "false", value: EVERYBODY });
  const title = element("input", { required: true, maxlength: 200, dir: "auto", autocomplete: "off" });
  const body = element("textarea", { rows: 3, maxlength: 4000, dir: "auto" });
  const level = select(own.levels, "info");
  const hours = element("input", { type: "number", min: 0, max: 8_760, step: "any", value: "0" });
  const told = element("p", { role: "status" });
  const failure = element("p", { class: "failure", role: "alert" });
  const send = async () => {
    fill(told);
    fill(failure);
    const lasts = Number(hours.value) * 3_600;
    const payload = { title: title.value.trim(), level: level.value, ...(body.value.trim() && { body: body.value.trim() }) };
    try {
      const { message_id: id } = await admin.send("POST", "/api/admin/notifications", { target_id: to.value.trim(), payload, ...(lasts > 0 && { expires_in: lasts }) });
      title.value = body.value = "";
      fill(told, own.sent(String(id)));
    } catch (error) {
      fill(failure, problem(error));
    }
  };
  return form(own.send, send, [field(own.to, to), field(own.subject, title), field(own.body, body), field(own.level, level), field(own.hours, hours)], told, failure);
}

/** @param {Administration} admin */
function importForm(admin) {
  const file = element("input", { type: "file", required: true, accept: ".jsonl,.ndjson,.txt,application/x-ndjson" });
  const users = element("input", { type: "checkbox" });
  const goOn = element("input", { type: "checkbox" });
  const report = element("div", { role: "status", class: "admin-loaded" });
  const failure = element("p", { class: "failure", role: "alert" });
  const send = async () => {
    fill(failure);
    fill(report, element("p", { class: "told" }, own.importing));
    try {
      fill(report, ...drawReport(await upload(admin, file.files?.[0] ?? new Blob([]), { create_users: users.checked, go_on: goOn.checked })));
    } catch (error) {
      fill(report);
      fill(failure, problem(error));
    }
  };
  const check = (/** @type {HTMLInputElement} */ box, /** @type {string} */ text) => element("label", { class: "check" }, box, element("span", {}, text));
  return form(own.import, send, [field(own.file, file), check(users, own.createUsers), check(goOn, own.goOn)], failure, report);
}

/**
 * Send a file as it is read, however large it is; resolves to the report.
 *
 * @param {Administration} admin
 * @param {Blob} body
 * @param {{ create_users: boolean, go_on: boolean }} query
 */
async function upload(admin, body, query) {
  const asked = new URLSearchParams(Object.entries(query).map(([name, value]) => [name, String(value)]));
  const headers = { Authorization: `Bearer ${admin.session.token}`, "Content-Type": "application/x-ndjson" };
  const answer = await fetch(`${BASE}/api/admin/import?${asked}`, { method: "POST", headers, body, cache: "no-store" }).catch((why) => {
    throw Object.assign(new Error(String(why)), { code: "offline" });
  });
  const told = await answer.json().catch(() => ({ code: "internal" }));
  if (!answer.ok) throw Object.assign(new Error(told.detail ?? ""), told, { status: answer.status });
  return told;
}

/** @param {any} report @returns {Node[]} */
function drawReport({ stored, duplicates, refused, problems, next_line: next, busy }) {
  const columns = [
    { title: own.line, class: "number", draw: (/** @type {any} */ { line }) => NUMBER.format(line) },
    { title: own.why, draw: (/** @type {any} */ { message }) => message },
  ];
  const state = next === null ? chip(own.all, "good") : chip(own.stopped(NUMBER.format(next)), "bad");
  return [
    element("p", {}, state, busy && ` ${busy}`),
    facts({ [own.stored]: NUMBER.format(stored), [own.duplicates]: NUMBER.format(duplicates), [own.refused]: NUMBER.format(refused) }),
    problems.length > 0 ? element("div", { class: "admin-scroll" }, table(own.refused, columns, problems).node) : null,
  ].filter((one) => one !== null);
}

/** @param {string} label @param {() => Promise<void>} send @param {HTMLElement[]} fields @param {...HTMLElement} more */
function form(label, send, fields, ...more) {
  const press = element("button", { class: "primary" }, label);
  const submit = async () => {
    press.disabled = true;
    await send();
    press.disabled = false;
  };
  return element("form", { class: "admin-form", onsubmit: (/** @type {Event} */ event) => (event.preventDefault(), void submit()) }, ...fields, ...more, element("p", { class: "choice" }, press));
}
