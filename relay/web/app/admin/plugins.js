/** Plugins: their states and figures, what they add to the server, their options, and what can be done with them. */

import { button, element, fill } from "../dom.js";
import { problem } from "../problems.js";
import { NUMBER } from "../words.js";
import { loaded } from "../settings/parts.js";
import { drawJobs } from "./jobs.js";
import { act, askFirst, back, chip, facts, heading, table, time } from "./parts.js";
import { hashTo } from "./place.js";
import { texts } from "./texts.js";

/** @import { Administration } from "./administration.js" */
/** @import { Place } from "./place.js" */

const PATH = "/api/admin/plugins";
const own = texts.plugins;
/** @type {Record<string, "good" | "warning" | "bad" | "">} */
const KINDS = { running: "good", "set aside": "bad", "left out": "bad", off: "" };

/** @param {Administration} admin @param {Place} place */
export function draw(admin, place) {
  return place.id ? drawOne(admin, place.id) : drawAll(admin);
}

/** @param {Administration} admin */
function drawAll(admin) {
  const columns = [
    { title: own.name, draw: (/** @type {any} */ { name, description }) => [element("a", { href: hashTo("plugins", name) }, name), element("small", {}, element("br", {}), description)] },
    { title: own.state, draw: (/** @type {any} */ { state, reason }) => [stateOf(state), reason && element("small", {}, " ", reason)] },
    { title: own.source, draw: (/** @type {any} */ { source }) => own.sources[/** @type {"bundled"} */ (source)] ?? "" },
    { title: own.failures, class: "number", draw: (/** @type {any} */ { failures }) => NUMBER.format(failures) },
    { title: own.types, draw: (/** @type {any} */ { types }) => element("small", {}, types.join(", ")) },
  ];
  return [heading(own.title, own.intro), loaded(() => admin.get(PATH), ({ plugins }) => element("div", { class: "admin-scroll" }, table(own.title, columns, plugins).node)), drawJobs(admin)];
}

/** @param {string} state */
function stateOf(state) {
  return chip(own.states[/** @type {"running"} */ (state)] ?? state, KINDS[state] ?? "");
}

/** @param {Administration} admin @param {string} name */
function drawOne(admin, name) {
  const path = `${PATH}/${encodeURIComponent(name)}`;
  const setAside = async () => {
    const reason = await askFirst(own.setAsideQuestion(name), own.setAside, { why: own.setAsideWhy, reason: true });
    return reason === null ? false : admin.send("POST", `${path}/set-aside`, reason ? { reason } : {});
  };
  const unload = async () => (await askFirst(own.unloadQuestion(name), own.unload, { why: own.unloadWhy })) !== null && admin.send("POST", `${path}/unload`);
  const show = (/** @type {any} */ plugin) => {
    const isLoaded = plugin.loaded_at !== null;
    const actions = [
      plugin.state !== "off" && act(admin, own.reload, () => admin.send("POST", `${path}/reload`)),
      isLoaded && plugin.state === "set aside" && act(admin, own.resume, () => admin.send("POST", `${path}/resume`), { class: "primary" }),
      isLoaded && plugin.state === "running" && act(admin, own.setAside, setAside, { class: "danger" }),
      isLoaded && act(admin, own.unload, unload, { class: "danger" }),
    ];
    return [
      heading(name, plugin.description, ...actions),
      element(
        "div",
        { class: "admin-cards" },
        element("section", { class: "admin-card" }, element("h3", {}, own.about), facts({
          [own.state]: element("span", {}, stateOf(plugin.state), " ", plugin.reason),
          [own.source]: own.sources[/** @type {"bundled"} */ (plugin.source)] ?? "",
          [own.file]: plugin.file && element("code", { dir: "ltr" }, plugin.file),
          [own.loadedAt]: plugin.loaded_at && time(plugin.loaded_at),
          [own.failures]: NUMBER.format(plugin.failures),
          [own.lastFailure]: plugin.last_failure,
          [own.pageFaults]: NUMBER.format(plugin.page_faults),
          [own.types]: plugin.types.join(", "),
          [own.commands]: plugin.commands.join(", "),
          [own.calls]: plugin.calls.map((/** @type {any} */ one) => `${one.method} ${one.path}`).join(", "),
          [own.hooks]: Object.keys(plugin.hooks).join(", "),
        })),
        plugin.counts.length > 0 && element("section", { class: "admin-card" }, element("h3", {}, own.figures), facts(Object.fromEntries(plugin.counts.map((/** @type {any} */ one) => [one.kind ? `${one.what} (${one.kind})` : one.what, NUMBER.format(one.count)])))),
      ),
      plugin.options && drawOptions(admin, path, plugin.options),
      isLoaded && "relay_schedules" in plugin.hooks && drawJobs(admin, name),
    ];
  };
  return [back("plugins"), loaded(() => admin.get(path), show)];
}

/** @param {Administration} admin @param {string} path @param {any} options */
function drawOptions(admin, path, { schema, values, origins, writable, why_not: whyNot }) {
  const failure = element("p", { class: "failure", role: "alert" });
  /** @type {Map<string, () => unknown>} */
  const changed = new Map();
  const save = element("button", { class: "primary", disabled: true }, own.save);
  const fields = Object.entries(schema.properties ?? {}).map(([key, told]) => {
    const { control, read } = controlOf(/** @type {any} */ (told), values[key], !writable);
    control.addEventListener("input", () => (changed.set(key, read), (save.disabled = false)));
    const { description = "" } = /** @type {any} */ (told);
    return element("label", { class: "field" }, element("span", {}, element("code", {}, key), origins[key] && element("small", {}, ` ${own.from(origins[key])}`)), control, description && element("small", {}, description));
  });
  const send = async () => {
    save.disabled = true;
    try {
      await admin.send("PATCH", `${path}/options`, Object.fromEntries([...changed].map(([key, read]) => [key, read()])));
      admin.notices.say(own.saved);
      admin.again();
    } catch (error) {
      fill(failure, error instanceof SyntaxError ? own.notJson : problem(error));
      save.disabled = false;
    }
  };
  const reset = button(own.reset, () => void admin.send("PATCH", `${path}/options`, Object.fromEntries(Object.keys(origins).map((key) => [key, null]))).then(() => admin.again(), admin.failed), { type: "button" });
  return element(
    "section",
    { class: "admin-card" },
    element("h3", {}, own.options),
    !writable && element("p", { class: "note" }, whyNot),
    element("form", { class: "admin-form", onsubmit: (/** @type {Event} */ event) => (event.preventDefault(), void send()) }, ...fields, failure, writable && element("p", { class: "choice" }, Object.keys(origins).length > 0 && reset, save)),
  );
}

/**
 * Return the control of one option and what reads its value: simple ones have fields of their own, all others are JSON.
 *
 * @param {any} told its schema
 * @param {unknown} value
 * @param {boolean} disabled
 */
function controlOf(told, value, disabled) {
  const kind = told.type ?? (told.enum ? "enum" : "");
  if (kind === "boolean") {
    const control = element("input", { type: "checkbox", checked: value === true, disabled });
    return { control, read: () => control.checked };
  }
  if (told.enum) {
    const control = element("select", { disabled }, ...told.enum.map((/** @type {any} */ one) => element("option", { value: String(one), selected: one === value }, String(one))));
    return { control, read: () => told.enum[control.selectedIndex] };
  }
  if (kind === "integer" || kind === "number") {
    const control = element("input", { type: "number", value: String(value ?? ""), min: told.minimum, max: told.maximum, step: kind === "integer" ? 1 : "any", disabled });
    return { control, read: () => Number(control.value) };
  }
  if (kind === "string") {
    const control = element("input", { type: "text", value: String(value ?? ""), dir: "auto", autocomplete: "off", spellcheck: "false", disabled });
    return { control, read: () => control.value };
  }
  const control = element("textarea", { rows: 3, dir: "ltr", spellcheck: "false", disabled });
  control.value = JSON.stringify(value ?? null, null, 2);
  return { control, read: () => JSON.parse(control.value) };
}
