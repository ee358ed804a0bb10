/** What waits, where, and how far each thing lags behind: what `relay status` tells. It is asked for anew every few seconds. */

import { element, fill } from "../dom.js";
import { problem } from "../problems.js";
import { locale, NUMBER, words } from "../words.js";
import { chip, facts, heading, table, time } from "./parts.js";
import { hashTo } from "./place.js";
import { texts } from "./texts.js";

/** @import { Administration } from "./administration.js" */

const own = texts.queues;
const FRESH_MS = 5_000;
const FINE = new Intl.NumberFormat(locale, { maximumSignificantDigits: 3 });

/** @param {Administration} admin */
export function draw(admin) {
  const place = element("div", { class: "admin-loaded" }, element("p", { class: "told", role: "status" }, words.settings.loading));
  const look = async () => fill(place, ...drawCondition(await admin.get("/api/admin/health")));
  const timer = setInterval(() => void (document.hidden || look().catch(() => {})), FRESH_MS);
  admin.signal.addEventListener("abort", () => clearInterval(timer));
  void look().catch((error) => fill(place, element("p", { class: "failure", role: "alert" }, problem(error))));
  return [heading(own.title, own.intro), place];
}

/** @param {any} condition */
function drawCondition({ at, router, writer, devices, queues, plugins }) {
  const running = plugins.filter((/** @type {any} */ one) => one.state === "running");
  return [
    element(
      "div",
      { class: "admin-cards" },
      card(own.messages, {
        [own.waiting]: NUMBER.format(router.waiting),
        [own.stored]: NUMBER.format(router.stored),
        [own.refused]: NUMBER.format(router.refused),
        [own.deliveries]: NUMBER.format(router.deliveries),
        [own.position]: NUMBER.format(router.position),
      }),
      card(own.writer, {
        [own.lag]: milliseconds(writer.lag_seconds),
        [texts.overview.commit]: milliseconds(writer.p50_seconds),
        [texts.overview.slowest]: milliseconds(writer.p99_seconds),
        [own.longest]: milliseconds(writer.last_seconds),
        [own.failed]: NUMBER.format(writer.failed),
        [own.failing]: writer.failing && chip(writer.failing, "bad"),
      }),
      card(own.devices, {
        [texts.overview.connections]: element("a", { href: hashTo("connections") }, NUMBER.format(devices.connected)),
        [texts.overview.slow]: NUMBER.format(devices.slow),
        [texts.overview.away]: count(devices.away),
        [texts.overview.missing]: count(devices.waiting),
        [own.from]: devices.waiting_from === null ? null : element("a", { href: hashTo("trace", String(devices.waiting_from)) }, NUMBER.format(devices.waiting_from)),
      }),
    ),
    element("section", {}, element("h3", {}, texts.overview.queues), queues.length > 0 ? element("div", { class: "admin-scroll" }, table(texts.overview.queues, QUEUES, queues).node) : element("p", { class: "told" }, texts.overview.noQueues)),
    element("section", {}, element("h3", {}, own.plugins), element("div", { class: "admin-scroll" }, table(own.plugins, PLUGINS, running).node)),
    element("p", { class: "note" }, own.measured, " ", time(at)),
  ];
}

/** @param {string} title @param {Record<string, import("../dom.js").Child>} named */
function card(title, named) {
  return element("section", { class: "admin-card" }, element("h3", {}, title), facts(named));
}

/** @param {number | null} seconds */
function milliseconds(seconds) {
  return seconds === null ? "–" : texts.overview.milliseconds(FINE.format(seconds * 1000));
}

/** @param {number | null} number */
function count(number) {
  return number === null ? texts.overview.notCounted : NUMBER.format(number);
}

/** @type {import("./parts.js").Column<any>[]} */
export const QUEUES = [
  { title: texts.overview.queue, draw: ({ name, plugin }) => [name, plugin && element("small", {}, ` ${plugin}`)] },
  { title: texts.overview.waitingThere, class: "number", draw: ({ waiting }) => NUMBER.format(waiting) },
  { title: texts.overview.oldest, draw: ({ oldest_at: at }) => time(at) },
  { title: texts.overview.state, draw: ({ failing, text }) => [failing ? chip(texts.overview.failing, "bad") : "", text && element("small", {}, ` ${text}`)] },
];

/** @type {import("./parts.js").Column<any>[]} */
const PLUGINS = [
  { title: texts.plugins.name, draw: ({ name }) => element("a", { href: hashTo("plugins", name) }, name) },
  { title: own.events, class: "number", draw: ({ events_waiting: waiting }) => NUMBER.format(waiting) },
  { title: own.busy, class: "number", draw: ({ busy_seconds: busy }) => (busy === null ? "–" : own.seconds(FINE.format(busy))) },
  { title: own.overdue, class: "number", draw: ({ jobs_overdue_seconds: overdue }) => own.seconds(FINE.format(overdue)) },
  { title: texts.plugins.failures, class: "number", draw: ({ failures }) => NUMBER.format(failures) },
];
