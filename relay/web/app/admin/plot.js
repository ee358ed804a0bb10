/** Plots of figures over time, as lines on a field that has the width of its place, with the values under the pointer. */

import { element, fill, svg } from "../dom.js";
import { locale } from "../words.js";
import { texts } from "./texts.js";

/** The field's own units; it is stretched to its place. */
const WIDTH = 600;
const HEIGHT = 120;
const STEPS = [1, 2, 2.5, 5, 10];
const HOUR = new Intl.DateTimeFormat(locale, { hour: "numeric", minute: "2-digit" });
const DATE = new Intl.DateTimeFormat(locale, { day: "numeric", month: "short" });
const MOMENT = new Intl.DateTimeFormat(locale, { day: "numeric", month: "short", hour: "numeric", minute: "2-digit" });
const DAY_SECONDS = 86_400;

/** @typedef {{ name: string, points: [number, number | null][] }} Series points: times (Unix seconds) and values; null where there was none */

/**
 * Draw a plot.
 *
 * @param {string} title
 * @param {Series[]} series of the same times
 * @param {(value: number) => string} say a value in words
 */
export function plot(title, series, say) {
  const times = series[0]?.points.map(([at]) => at) ?? [];
  const values = series.flatMap(({ points }) => points.flatMap(([, value]) => value ?? []));
  if (times.length < 2 || values.length === 0) {
    return element("figure", { class: "plot" }, element("figcaption", {}, element("strong", {}, title)), element("p", { class: "told" }, texts.noFigures));
  }
  const top = roundUp(Math.max(...values, 0));
  const [first, last] = [times[0], times.at(-1) ?? times[0]];
  const x = (/** @type {number} */ at) => ((at - first) / (last - first || 1)) * WIDTH;
  const y = (/** @type {number} */ value) => HEIGHT - (value / top) * HEIGHT;
  const drawing = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": summary(title, series, say) });
  for (const part of [0, 0.5, 1]) drawing.append(svg("path", { class: "grid", d: `M0 ${HEIGHT * part}H${WIDTH}` }));
  for (const [number, { points }] of series.entries()) drawing.append(svg("path", { class: `line line-${number}`, d: path(points, x, y) }));
  const pointer = svg("path", { class: "pointer" });
  drawing.append(pointer);
  const told = element("span", { class: "reading" });
  const field = element("div", { class: "field-of-plot" });
  field.append(drawing);
  const at = (/** @type {PointerEvent} */ event) => {
    const { left, width } = drawing.getBoundingClientRect();
    const number = nearest(times, first + ((event.clientX - left) / width) * (last - first));
    pointer.setAttribute("d", `M${x(times[number])} 0V${HEIGHT}`);
    fill(told, `${MOMENT.format(times[number] * 1000)}: ${series.map((one) => reading(one, number, say, series.length > 1)).join(" · ")}`);
  };
  field.addEventListener("pointermove", at);
  field.addEventListener("pointerleave", () => (pointer.removeAttribute("d"), fill(told, latest(series, say))));
  fill(told, latest(series, say));
  const spread = last - first > 2 * DAY_SECONDS ? DATE : HOUR;
  return element(
    "figure",
    { class: "plot" },
    element("figcaption", {}, element("strong", {}, title), told),
    series.length > 1 && element("ul", { class: "legend" }, ...series.map(({ name }, number) => element("li", { class: `line-${number}` }, name))),
    element("div", { class: "plot-body" }, element("div", { class: "ticks", "aria-hidden": "true" }, ...[top, top / 2, 0].map((value) => element("span", {}, say(value)))), field),
    element("div", { class: "times", "aria-hidden": "true" }, ...[first, (first + last) / 2, last].map((time) => element("span", {}, spread.format(time * 1000)))),
  );
}

/** @param {[number, number | null][]} points @param {(at: number) => number} x @param {(value: number) => number} y */
function path(points, x, y) {
  let pen = "M";
  let written = "";
  for (const [at, value] of points) {
    if (value === null) pen = "M";
    else {
      written += `${pen}${x(at).toFixed(1)} ${y(value).toFixed(1)}`;
      pen = "L";
    }
  }
  return written;
}

/** Return the round number that is not less. @param {number} value */
export function roundUp(value) {
  if (value <= 0) return 1;
  const scale = 10 ** Math.floor(Math.log10(value));
  return (STEPS.find((step) => step * scale >= value * 0.999_999) ?? 10) * scale;
}

/** Return the place of the time next to a moment. @param {number[]} times @param {number} moment */
export function nearest(times, moment) {
  const after = times.findIndex((time) => time >= moment);
  if (after === -1) return times.length - 1;
  return after > 0 && moment - times[after - 1] < times[after] - moment ? after - 1 : after;
}

/** @param {Series} series @param {number} number @param {(value: number) => string} say @param {boolean} named */
function reading({ name, points }, number, say, named) {
  const value = points[number]?.[1] ?? null;
  const told = value === null ? "–" : say(value);
  return named ? `${name} ${told}` : told;
}

/** @param {Series[]} series @param {(value: number) => string} say */
function latest(series, say) {
  const number = series[0].points.findLastIndex(([, value]) => value !== null);
  return number < 0 ? "" : series.map((one) => reading(one, number, say, series.length > 1)).join(" · ");
}

/** Say in words what a plot shows, for those who do not see it. @param {string} title @param {Series[]} series @param {(value: number) => string} say */
function summary(title, series, say) {
  const parts = series.map(({ name, points }) => {
    const values = points.flatMap(([, value]) => value ?? []);
    const [least, most] = [Math.min(...values), Math.max(...values)];
    return texts.plotSummary(name, say(least), say(most), say(values.at(-1) ?? 0));
  });
  return `${title}. ${parts.join(" ")}`;
}
