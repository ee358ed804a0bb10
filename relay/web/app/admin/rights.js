/** The inspector: may somebody do something somewhere, by which rule, and why. */

import { element, fill } from "../dom.js";
import { problem } from "../problems.js";
import { chip, facts, heading } from "./parts.js";
import { hashTo } from "./place.js";
import { texts } from "./texts.js";

/** @import { Administration } from "./administration.js" */
/** @import { Place } from "./place.js" */

const own = texts.rights;

/** @param {Administration} admin @param {Place} place */
export function draw(admin, place) {
  const input = (/** @type {string} */ name, required = true) => element("input", { type: "text", value: place.query.get(name) ?? "", required, autocomplete: "off", autocapitalize: "none", spellcheck: "false", dir: "auto" });
  const [user, target] = [input("user"), input("target", false)];
  const wanted = place.query.get("act") ?? "write";
  const act = element("select", {}, ...Object.entries(own.acts).map(([key, text]) => element("option", { value: key, selected: key === wanted }, text)));
  const answer = element("div", { role: "status", class: "admin-loaded" });
  const ask = async () => {
    const query = { user: user.value.trim(), act: act.value, target: target.value.trim() };
    history.replaceState(null, "", hashTo("rights", "", query));
    try {
      const { allowed, rule, sentence } = await admin.get("/api/admin/may", { user: query.user, act: query.act, ...(query.target && { target: query.target }) });
      fill(answer, element("section", { class: "admin-card" }, element("h3", {}, chip(allowed ? own.yes : own.no, allowed ? "good" : "bad")), element("p", { dir: "auto" }, sentence), facts({ [own.rule]: element("code", {}, rule) })));
    } catch (error) {
      fill(answer, element("p", { class: "failure" }, problem(error)));
    }
  };
  const label = (/** @type {string} */ text, /** @type {HTMLElement} */ control) => element("label", { class: "admin-filter" }, element("span", {}, text), control);
  const form = element(
    "form",
    { class: "admin-filters", onsubmit: (/** @type {Event} */ event) => (event.preventDefault(), void ask()) },
    label(own.who, user), label(own.what, act), label(own.where, target), element("button", { class: "primary admin-go" }, own.ask),
  );
  if (user.value) void ask();
  else user.autofocus = true;
  return [heading(own.title, own.intro), form, answer];
}
