/** What takes room on the disk, how fast it grows, when the disk is full, and what the rules of retention will free. */

import { element } from "../dom.js";
import { size } from "../format.js";
import { NUMBER } from "../words.js";
import { loaded } from "../settings/parts.js";
import { chip, facts, heading, table, time } from "./parts.js";
import { plot } from "./plot.js";
import { texts } from "./texts.js";

/** @import { Administration } from "./administration.js" */

const own = texts.storage;
const DAY = 86_400;
/** So far back the plot goes, and so far ahead. */
const SPAN_DAYS = 90;

/** @param {Administration} admin */
export function draw(admin) {
  const load = () =>
    Promise.all([admin.get("/api/admin/storage"), admin.get("/api/admin/figures", { name: "database_bytes", from: Math.floor(Date.now() / 1000 - SPAN_DAYS * DAY), step: DAY })]);
  return [heading(own.title, own.intro), loaded(load, ([usage, series]) => drawUsage(usage, series))];
}

/** @param {any} usage @param {any} series */
function drawUsage(usage, series) {
  const { growth, parts } = usage;
  const whole = Math.max(1, ...parts.map((/** @type {any} */ part) => part.bytes));
  /** @type {import("./parts.js").Column<any>[]} */
  const columns = [
    { title: own.part, draw: ({ name, measured }) => [name, !measured && element("small", {}, ` ${own.estimated}`)] },
    { title: own.share, draw: ({ bytes }) => element("meter", { min: 0, max: whole, value: bytes, "aria-label": own.share }) },
    { title: own.size, class: "number", draw: ({ bytes }) => size(bytes) },
  ];
  return [
    element(
      "div",
      { class: "admin-cards" },
      element("section", { class: "admin-card" }, element("h3", {}, own.now), facts({
        [own.database]: size(usage.database_bytes),
        [own.used]: size(usage.used_bytes),
        [own.wal]: size(usage.wal_bytes),
        [own.free]: usage.disk_free_bytes === null ? null : own.of(size(usage.disk_free_bytes), size(usage.disk_bytes)),
        [own.measured]: time(usage.measured_at),
      })),
      element("section", { class: "admin-card" }, element("h3", {}, own.growth), element("p", {}, told(growth)), facts({
        [own.perDay]: growth.bytes_per_day === null ? null : size(Math.max(0, growth.bytes_per_day)),
        [own.fullAt]: growth.full_at && time(growth.full_at),
      })),
    ),
    plot(own.plot, forecast(series, growth, usage), size),
    element("section", {}, element("h3", {}, own.parts), !usage.whole && element("p", { class: "note" }, own.notWhole), element("div", { class: "admin-scroll" }, table(own.parts, columns, parts).node)),
    element("section", {}, element("h3", {}, own.frees), element("div", { class: "admin-cards" }, ...usage.frees.map(drawFrees))),
  ];
}

/** Say on what the growth is based: its reason where there is none yet. @param {any} growth */
function told({ bytes_per_day: perDay, since, text }) {
  if (perDay === null) return since === null ? text : own.tooYoung;
  return perDay > 0 ? own.asLately : own.doesNotGrow;
}

/**
 * Return the size of the database until now, and beside it how it will be at this rate.
 *
 * @param {any} series @param {any} growth @param {any} usage
 * @returns {import("./plot.js").Series[]}
 */
function forecast({ points }, { bytes_per_day: perDay }, { database_bytes: now, measured_at: at }) {
  const past = points.filter((/** @type {any} */ point) => point.most !== null).map((/** @type {any} */ point) => [point.at, point.most]);
  if (perDay === null) return [{ name: own.until, points: past }];
  const ahead = Array.from({ length: SPAN_DAYS / 3 }, (_, number) => at + (number + 1) * 3 * DAY);
  const nothing = (/** @type {number} */ time) => /** @type {[number, null]} */ ([time, null]);
  return [
    { name: own.until, points: [...past, [at, now], ...ahead.map(nothing)] },
    { name: own.forecast, points: [...past.map((/** @type {[number, number]} */ [time]) => nothing(time)), [at, now], ...ahead.map((time) => /** @type {[number, number]} */ ([time, Math.max(0, now + ((time - at) / DAY) * perDay)]))] },
  ];
}

/** @param {any} frees */
function drawFrees({ days, bytes, rules }) {
  const line = (/** @type {any} */ { rule, messages, bytes: freed, whole }) =>
    element("li", {}, own.rule(rule, NUMBER.format(messages), size(freed)), !whole && element("span", {}, " ", chip(own.atLeast)));
  return element("section", { class: "admin-card" }, element("h3", {}, own.within(days, size(bytes))), rules.length > 0 ? element("ul", { class: "admin-remarks" }, ...rules.map(line)) : element("p", { class: "told" }, own.noRules));
}
