/** The audit log: who did what to whom, when, from where and by which way. */

import { element } from "../dom.js";
import { heading, listing, time } from "./parts.js";
import { hashTo } from "./place.js";
import { texts } from "./texts.js";

/** @import { Administration } from "./administration.js" */
/** @import { Place } from "./place.js" */

const own = texts.audit;
/** What an entry may be about that has a place here. @type {Record<string, string>} */
const PLACES = { user: "users", group: "groups", plugin: "plugins", message: "trace" };

/** @param {Administration} admin @param {Place} place */
export function draw(admin, place) {
  return [heading(own.title, own.intro), entries(admin, place, { filters: FILTERS })];
}

const FILTERS = [
  { name: "by", label: own.who },
  { name: "act", label: own.act, hint: "user.disabled" },
  { name: "about", label: own.about, hint: "user:alice" },
  { name: "q", label: own.text },
];

/**
 * Draw the entries of the log, maybe those about one thing.
 *
 * @param {Administration} admin
 * @param {Place} place
 * @param {{ filters?: import("./parts.js").Filter[], query?: Record<string, string>, section?: string }} [of]
 */
export function entries(admin, place, { filters = [], query = {}, section = "audit" } = {}) {
  return listing(admin, place, { section, path: "/api/admin/audit", rows: "entries", label: own.title, columns: COLUMNS, filters, query, empty: own.none });
}

/** @type {import("./parts.js").Column<any>[]} */
const COLUMNS = [
  { title: own.when, draw: ({ at }) => time(at) },
  { title: own.by, draw: ({ by, role }) => (by ? [element("a", { href: hashTo("users", by) }, by), role && element("small", {}, ` ${texts.roles[/** @type {"admin"} */ (role)] ?? role}`)] : texts.operator) },
  { title: own.act, draw: ({ act }) => element("span", { title: act }, own.acts[/** @type {"user.disabled"} */ (act)] ?? act) },
  { title: own.about, draw: ({ about }) => drawAbout(about) },
  { title: own.details, draw: ({ details }) => element("small", {}, ...Object.entries(details).flatMap(([name, value], at) => [at > 0 && ", ", `${name}: `, element("bdi", {}, inWords(value))])) },
  { title: own.from, draw: ({ address, client, way }) => element("small", {}, [own.ways[/** @type {"rest"} */ (way)] ?? way, client, address].filter(Boolean).join(" · ")) },
];

/** @param {{ kind: string, id: string } | null} about */
function drawAbout(about) {
  if (!about) return null;
  const shown = [own.kinds[/** @type {"user"} */ (about.kind)] ?? about.kind, " "];
  const section = PLACES[about.kind];
  return [...shown, section ? element("a", { href: hashTo(section, about.id) }, about.id) : element("bdi", {}, about.id)];
}

/** @param {unknown} value */
function inWords(value) {
  return typeof value === "string" ? value : JSON.stringify(value);
}
