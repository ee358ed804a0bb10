/**
 * Sections of the administration that plugins bring: modules that this page alone loads, under the guard that holds for all page
 * modules (plugin-guard.js). What one does wrong costs the page nothing, and its author is told.
 */

import { element, fill } from "../dom.js";
import { acceptElement, boxed, guarded, sendFaultsBy, tell, watchLater } from "../plugins/plugin-guard.js";
import { findHanging, isAside, markLoading, takeBack } from "../plugins/plugin-marks.js";
import { problem } from "../problems.js";
import { BASE } from "../session.js";
import { words } from "../words.js";
import { act, askFirst, chip, facts, heading, listing, table, time } from "./parts.js";
import { hashTo } from "./place.js";
import { texts } from "./texts.js";
import { showSecret } from "./user-acts.js";

/** @import { Administration } from "./administration.js" */
/** @import { Place } from "./place.js" */
/** @import { AdminRelay, AdminSection } from "../page-module.js" */
/** @import { Listed } from "../plugins/plugin-module.js" */
/** @import { Section } from "./sections.js" */

const ROOT = `${BASE}/plugins/`;
/** After so long the page goes on without a module. */
const LOAD_MS = 10_000;

/**
 * Load the modules, and return the sections that they bring.
 *
 * @param {Administration} admin
 * @returns {Promise<Section[]>}
 */
export async function loadPluginSections(admin) {
  sendFaultsBy((fault) => void admin.rest.request("POST", "/api/page/faults", { body: fault }).catch(() => {}));
  watchLater();
  /** @type {{ admin?: Listed[] } | null} */
  const listed = await fetch(`${ROOT}index.json`).then((answer) => (answer.ok ? answer.json() : null)).catch(() => null);
  const plugins = listed?.admin ?? [];
  const hanging = findHanging();
  for (const plugin of plugins.filter(isAside)) {
    if (hanging.has(plugin.name)) tell(plugin.name, "hang", "the administration hung while it ran", "it is set aside in this browser");
    const again = () => (takeBack(plugin.name), location.reload());
    admin.notices.ask(words.plugins.aside(plugin.name), words.plugins.asideWhy, words.plugins.tryAgain, again);
  }
  const found = await Promise.all(plugins.filter((plugin) => !isAside(plugin)).map((plugin) => loadOne(admin, plugin)));
  return found.flat();
}

/** Faults are told by nobody any more. */
export function endPluginSections() {
  sendFaultsBy(null);
}

/** @param {Administration} admin @param {Listed} plugin @returns {Promise<Section[]>} */
async function loadOne(admin, plugin) {
  const failed = (/** @type {unknown} */ fault) => (tell(plugin.name, "load", "load of its administration", fault), []);
  for (const style of plugin.styles) {
    const href = `${ROOT}${plugin.name}/${style}`;
    document.head.append(element("link", { rel: "stylesheet", href, onerror: () => failed(`${style} could not be loaded`) }));
  }
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const loads = markLoading(plugin);
  const taken = import(`${ROOT}${plugin.name}/${plugin.module}`).then(({ section }) => [sectionOf(admin, plugin, section)]).catch(failed);
  const slow = new Promise((resolve) => (timer = setTimeout(() => resolve(failed(`it was not there after ${LOAD_MS / 1000} s`)), LOAD_MS)));
  const sections = /** @type {Section[]} */ (await Promise.race([taken, slow]));
  clearTimeout(timer);
  loads();
  return sections;
}

/** @param {Administration} admin @param {Listed} plugin @param {AdminSection} section @returns {Section} */
function sectionOf(admin, plugin, section) {
  if (typeof section?.label !== "string" || typeof section.draw !== "function") {
    throw new TypeError("it exports `section`, which has a label and a function draw");
  }
  const draw = (/** @type {Administration} */ _admin, /** @type {Place} */ place) => drawSection(admin, plugin, section, place);
  return { id: idOf(plugin), title: section.label, icon: "plugin", least: "admin", load: async () => ({ draw }) };
}

/** A plugin's section never stands in the place of one of relay's own. @param {Listed} plugin */
function idOf({ name }) {
  return `plugin-${name}`;
}

/** @param {Administration} admin @param {Listed} plugin @param {AdminSection} section @param {Place} place @returns {Element} */
function drawSection(admin, plugin, section, place) {
  const made = guarded(plugin, "draw", "draw of its section", () => section.draw(relayOf(admin, plugin, place)), acceptElement);
  return made ? boxed(plugin, made) : element("p", { class: "failure", role: "alert" }, texts.pluginFailed(plugin.name));
}

/** @param {Administration} admin @param {Listed} plugin @param {Place} place @returns {AdminRelay} */
function relayOf(admin, plugin, place) {
  const id = idOf(plugin);
  return Object.freeze({
    me: admin.session.userId,
    options: plugin.options,
    id: place.id,
    query: place.query,
    hashTo: (/** @type {string} */ inside, /** @type {Record<string, string>} */ query) => hashTo(id, inside, query),
    userHash: (/** @type {string} */ userId) => hashTo("users", userId),
    get: (/** @type {string} */ path, /** @type {Record<string, any>} */ query) => admin.get(path, query),
    send: (/** @type {"POST"} */ method, /** @type {string} */ path, /** @type {any} */ body) => admin.send(method, path, body),
    failed: admin.failed,
    say: (/** @type {string} */ text) => void admin.notices.say(text),
    again: () => admin.again(),
    parts: Object.freeze({
      askFirst, chip, facts, heading, showSecret, time,
      table: (/** @type {string} */ label, /** @type {any[]} */ columns, /** @type {any[]} */ rows) => element("div", { class: "admin-scroll" }, table(label, columns, rows).node),
      act: (/** @type {string} */ label, /** @type {() => Promise<unknown>} */ does, /** @type {Record<string, any>} */ attributes) => act(admin, label, does, attributes),
      listing: (/** @type {any} */ of) => listing(admin, place, { ...of, section: id }),
      loaded: (/** @type {() => Promise<any>} */ load, /** @type {(value: any) => Node | Node[]} */ draw) => drawLoaded(plugin, load, draw),
    }),
  });
}

/**
 * Draw what a plugin draws of something that is loaded first, under its guard.
 *
 * @param {Listed} plugin
 * @param {() => Promise<any>} load
 * @param {(value: any) => Node | Node[]} draw
 */
function drawLoaded(plugin, load, draw) {
  const place = element("div", { class: "loaded" }, element("p", { class: "told", role: "status" }, words.settings.loading));
  const show = (/** @type {any} */ value) => {
    const made = guarded(plugin, "draw", "draw of what was loaded", () => [draw(value)].flat(), (nodes) => nodes);
    fill(place, ...(made ?? [element("p", { class: "failure", role: "alert" }, texts.pluginFailed(plugin.name))]));
  };
  load().then(show, (error) => fill(place, element("p", { class: "failure", role: "alert" }, problem(error))));
  return place;
}
