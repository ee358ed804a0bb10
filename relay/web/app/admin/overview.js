/** How the server is: its condition in words, a few figures, what waits, and plots of what it has been doing. */

import { element, fill } from "../dom.js";
import { ago, size } from "../format.js";
import { locale, NUMBER } from "../words.js";
import { loaded } from "../settings/parts.js";
import { sampleOffer } from "../settings/sample.js";
import { chip, facts, heading, table } from "./parts.js";
import { hashTo } from "./place.js";
import { plot } from "./plot.js";
import { QUEUES } from "./queues.js";
import { texts } from "./texts.js";

/** @import { Administration } from "./administration.js" */
/** @import { Place } from "./place.js" */
/** @import { Series } from "./plot.js" */

const own = texts.overview;
const FRESH_MS = 10_000;
const SPANS = { hour: 3_600, day: 86_400, month: 30 * 86_400, year: 365 * 86_400 };
/** How long a point of a plot is, in seconds: some hundred points are as many as one sees. */
const STEPS = { hour: 60, day: 300, month: 7_200, year: 86_400 };
/** @type {Record<string, "good" | "warning" | "bad">} */
const KINDS = { good: "good", "worth a look": "warning", bad: "bad" };
const FINE = new Intl.NumberFormat(locale, { maximumSignificantDigits: 3 });

/** @param {Administration} admin @param {Place} place */
export function draw(admin, place) {
  const wanted = place.query.get("span") ?? "day";
  const span = wanted in SPANS ? /** @type {keyof typeof SPANS} */ (wanted) : "day";
  const choices = Object.keys(SPANS).map((one) =>
    element("a", { class: "admin-choice", href: hashTo("overview", "", { span: one }), "aria-current": one === span ? "true" : null }, own.spans[/** @type {"day"} */ (one)]),
  );
  const condition = element("div", { class: "admin-loaded" });
  const look = async () => fill(condition, ...drawCondition(await admin.get("/api/admin/health")));
  const timer = setInterval(() => void (document.hidden || look().catch(() => {})), FRESH_MS);
  admin.signal.addEventListener("abort", () => clearInterval(timer));
  void look().catch(admin.failed);
  return [
    heading(own.title, own.intro),
    condition,
    sampleOffer(admin.rest),
    element("nav", { class: "admin-span", "aria-label": own.span }, ...choices),
    loaded(() => figures(admin, SPANS[span], STEPS[span]), (drawn) => element("div", { class: "admin-cards" }, ...drawn)),
  ];
}

/** @param {any} condition */
function drawCondition({ state, remarks, up_seconds: up, router, writer, devices, queues, plugins }) {
  const told = remarks.length > 0 ? element("ul", { class: "admin-remarks" }, ...remarks.map((/** @type {string} */ one) => element("li", {}, one))) : element("p", {}, own.allWell);
  const failing = plugins.filter((/** @type {any} */ one) => one.state !== "running" || one.failures > 0);
  const milliseconds = (/** @type {number | null} */ seconds) => (seconds === null ? "–" : own.milliseconds(FINE.format(seconds * 1000)));
  const tiles = [
    [own.connections, NUMBER.format(devices.connected)],
    [own.online, NUMBER.format(devices.users)],
    [own.stored, NUMBER.format(router.stored)],
    [own.waiting, NUMBER.format(router.waiting)],
    [own.commit, milliseconds(writer.p50_seconds)],
    [own.slowest, milliseconds(writer.p99_seconds)],
  ];
  return [
    element("section", { class: "admin-card" }, element("h3", {}, own.health, " ", chip(own.states[/** @type {"good"} */ (state)] ?? state, KINDS[state])), told, element("p", { class: "note" }, own.running(ago(Date.now() / 1000 - up)))),
    element("div", { class: "admin-tiles" }, ...tiles.map(([name, value]) => element("div", { class: "admin-tile" }, element("strong", {}, value), element("span", {}, name)))),
    element(
      "div",
      { class: "admin-cards" },
      element("section", { class: "admin-card" }, element("h3", {}, own.queues), queues.length > 0 ? table(own.queues, QUEUES, queues).node : element("p", { class: "told" }, own.noQueues), facts({
        [own.away]: devices.away === null ? own.notCounted : NUMBER.format(devices.away),
        [own.missing]: devices.waiting === null ? own.notCounted : NUMBER.format(devices.waiting),
        [own.slow]: NUMBER.format(devices.slow),
      })),
      failing.length > 0 && element("section", { class: "admin-card" }, element("h3", {}, own.plugins), table(own.plugins, PLUGINS, failing).node),
    ),
  ];
}

/** @type {import("./parts.js").Column<any>[]} */
const PLUGINS = [
  { title: texts.plugins.name, draw: ({ name }) => element("a", { href: hashTo("plugins", name) }, name) },
  { title: texts.plugins.failures, class: "number", draw: ({ failures }) => NUMBER.format(failures) },
  { title: texts.plugins.lastFailure, draw: ({ last_failure: last }) => element("small", {}, last ?? "") },
];

/** Load the plots. @param {Administration} admin @param {number} span seconds @param {number} step seconds */
async function figures(admin, span, step) {
  const from = Math.floor(Date.now() / 1000 - span);
  const names = "messages,deliveries,connections,commit_seconds,database_bytes";
  const [messages, deliveries, connections, commits, database] = (await admin.get("/api/admin/figures/several", { names, from, step })).figures;
  const perSecond = (/** @type {number} */ value) => own.perSecond(FINE.format(value));
  const milliseconds = (/** @type {number} */ value) => own.milliseconds(FINE.format(value * 1000));
  return [
    plot(own.plots.messages, [rate(messages)], perSecond),
    plot(own.plots.deliveries, [rate(deliveries)], perSecond),
    plot(own.plots.connections, [series(connections, "most")], (value) => NUMBER.format(Math.round(value))),
    plot(own.plots.latency, [{ ...series(commits, "p50"), name: own.series.p50 }, { ...series(commits, "p99"), name: own.series.p99 }], milliseconds),
    plot(own.plots.database, [series(database, "most")], size),
  ];
}

/** Return what was counted, as a rate a second. @param {any} answer @returns {Series} */
function rate({ name, step, points }) {
  return { name, points: points.map((/** @type {any} */ { at, total }) => [at, total === null ? null : total / step]) };
}

/** @param {any} answer @param {"most" | "p50" | "p99"} of @returns {Series} */
function series({ name, points }, of) {
  return { name, points: points.map((/** @type {any} */ point) => [point.at, point[of]]) };
}
