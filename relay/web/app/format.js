/** Times, sizes, names and text directions for display. */

import { locale } from "./words.js";

const CLOCK = new Intl.DateTimeFormat(locale, { hour: "numeric", minute: "2-digit" });
const WEEKDAY = new Intl.DateTimeFormat(locale, { weekday: "long" });
const DAY = new Intl.DateTimeFormat(locale, { day: "numeric", month: "long", year: "numeric" });
const WHOLE = new Intl.DateTimeFormat(locale, { dateStyle: "full", timeStyle: "short" });
const MOMENT = new Intl.DateTimeFormat(locale, { weekday: "short", day: "numeric", month: "short", hour: "numeric", minute: "2-digit" });
const AGO = new Intl.RelativeTimeFormat(locale, { numeric: "auto" });
/** By unit: without, and with a place after the point. */
const SIZES = ["byte", "kilobyte", "megabyte", "gigabyte"].map((unit) =>
  [0, 1].map((digits) => new Intl.NumberFormat(locale, {
    style: "unit", unit, unitDisplay: unit === "byte" ? "long" : "short", minimumFractionDigits: digits, maximumFractionDigits: digits,
  })),
);
const HUES = 12;
/** Unicode's bidirectional controls: they change the direction of the text after them. */
const BIDI_CONTROLS = /[\u202a-\u202e\u2066-\u2069]/gu;
/** Letters that are read from right to left, and controls that make other text so. */
const RIGHT_TO_LEFT = /[\u0590-\u08ff\u200f\u202a-\u202e\u2066-\u2069\ufb1d-\ufdff\ufe70-\ufefe\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/u;

/**
 * Return a text without the controls that show it in another order: with them, `gnp.exe` could look like a picture's name.
 *
 * @param {string} text
 */
export function upright(text) {
  return text.replace(/[\u202d\u202e]/gu, "");
}

/**
 * Return a name without bidirectional controls, which would reorder the text after it.
 *
 * @param {string} name
 */
export function straight(name) {
  return name.replace(BIDI_CONTROLS, "");
}

/**
 * Return a user's text for use inside a sentence or a label: isolated, so that it does not reorder the rest.
 *
 * @param {string} text
 */
export function isolate(text) {
  return RIGHT_TO_LEFT.test(text) ? `\u2068${straight(text)}\u2069` : text;
}

/**
 * Return the direction of a text: that of its first letter.
 *
 * @param {string} text
 * @returns {"ltr" | "rtl"}
 */
export function direction(text) {
  return RIGHT_TO_LEFT.test(straight(text).match(/\p{L}/u)?.[0] ?? "") ? "rtl" : "ltr";
}

/** @param {number} seconds Unix time */
export function clock(seconds) {
  return CLOCK.format(seconds * 1000);
}

/** @param {number} seconds Unix time */
export function wholeTime(seconds) {
  return WHOLE.format(seconds * 1000);
}

/**
 * Return a day and a time in short, such as when something is due.
 *
 * @param {number} seconds Unix time
 */
export function moment(seconds) {
  const date = new Date(seconds * 1000);
  return (date.getFullYear() === new Date().getFullYear() ? MOMENT : WHOLE).format(date);
}

/**
 * Return a time as `<input type="datetime-local">` takes it; empty for none.
 *
 * @param {number | null | undefined} seconds Unix time
 */
export function localTime(seconds) {
  if (!seconds) return "";
  const date = new Date(seconds * 1000);
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

/**
 * Return the time that `<input type="datetime-local">` says, Unix seconds; undefined for none.
 *
 * @param {string} value
 */
export function localSeconds(value) {
  return value ? new Date(value).getTime() / 1000 : undefined;
}

/** @param {number} seconds Unix time */
export function day(seconds) {
  const days = daysAgo(seconds);
  if (days === 0 || days === 1) return capital(AGO.format(-days, "day"));
  return days > 1 && days < 7 ? capital(WEEKDAY.format(seconds * 1000)) : DAY.format(seconds * 1000);
}

/**
 * Return the number of a time's calendar day where the reader is: the next day's is one more, whatever happens to clocks.
 *
 * @param {number} seconds Unix time
 */
export function dayOf(seconds) {
  const date = new Date(seconds * 1000);
  return Date.UTC(date.getFullYear(), date.getMonth(), date.getDate()) / 86_400_000;
}

/**
 * Return the time at which a calendar day begins where the reader is, Unix seconds.
 *
 * @param {number} number as `dayOf` returns it
 */
export function dayStart(number) {
  const date = new Date(number * 86_400_000);
  return new Date(date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate()).getTime() / 1000;
}

/**
 * Return a short time: the clock time if it is today, else the day.
 *
 * @param {number} seconds Unix time
 */
export function shortly(seconds) {
  return daysAgo(seconds) === 0 ? clock(seconds) : day(seconds);
}

/** @param {number} seconds Unix time */
export function ago(seconds) {
  const past = Math.max(0, Date.now() / 1000 - seconds);
  if (past < 3600) return AGO.format(-Math.round(past / 60), "minute");
  return past < 86400 ? AGO.format(-Math.round(past / 3600), "hour") : AGO.format(-Math.round(past / 86400), "day");
}

/** Return how long something lasts, rounded up in the unit that suits it. @param {number} seconds */
export function span(seconds) {
  const left = Math.max(1, seconds);
  const [unit, each] = /** @type {[string, number]} */ (left < 100 ? ["second", 1] : left < 5400 ? ["minute", 60] : left < 129_600 ? ["hour", 3600] : ["day", 86_400]);
  return new Intl.NumberFormat(locale, { style: "unit", unit, unitDisplay: "long", maximumFractionDigits: 0 }).format(Math.ceil(left / each));
}

/** Return a number of bytes in the largest unit that it fills. @param {number} bytes */
export function size(bytes) {
  let unit = 0;
  for (; bytes >= 1000 && unit < SIZES.length - 1; unit += 1) bytes /= 1000;
  const digits = bytes < 10 && unit > 0 ? 1 : 0;
  return /** @type {Intl.NumberFormat[]} */ (SIZES[unit])[digits]?.format(bytes) ?? "";
}

/**
 * Return the class for a user's colour, which is always the same.
 *
 * @param {string} id
 */
export function hue(id) {
  let sum = 0;
  for (const character of id) sum = (sum * 31 + (character.codePointAt(0) ?? 0)) % 9973;
  return `hue-${sum % HUES}`;
}

/** @param {string} name */
export function initials(name) {
  const words = name.split(/[^\p{L}\p{N}]+/u).filter(Boolean);
  return (
    words
      .slice(0, 2)
      .map((word) => [...word][0].toUpperCase())
      .join("") || "?"
  );
}

/**
 * Return several names as a list in a sentence.
 *
 * @param {string[]} names
 */
export function listed(names) {
  return new Intl.ListFormat(locale).format(names.map(isolate));
}

/** Return how many calendar days ago a time was; below 0 if it is to come. @param {number} seconds */
function daysAgo(seconds) {
  return dayOf(Date.now() / 1000) - dayOf(seconds);
}

/** @param {string} text */
function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
