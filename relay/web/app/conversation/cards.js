/** Messages of types that no module draws: a small card of their fields, by the schemas that the server tells. */

import { element } from "../dom.js";
import { upright, wholeTime } from "../format.js";
import { counted, locale, words } from "../words.js";

/** @import { MessageView } from "../../sdk/index.js" */
/** @import { Names } from "../names.js" */

/** @typedef {{ title?: string, default?: unknown }} Field */

const NUMBER = new Intl.NumberFormat(locale);
const RETRY_MS = 30_000;
const MAX_FIELDS = 12;
const MAX_TEXT = 600;
const MAX_ITEMS = 10;
/** The names of fields that say what a message is about. */
const LEADS = ["title", "question", "subject", "summary", "name", "text", "content", "message", "body", "description"];
/** Fields that are drawn otherwise, or say nothing to people. */
const PASSED_OVER = new Set(["reply_to", "attachments", "mentions", "extra", "actions"]);

/** The fields of each type. @type {Map<string, Record<string, Field>>} */
const schemas = new Map();
let asked = false;

/**
 * Return a type's name as people write it.
 *
 * @param {string} name
 */
export function titleOf(name) {
  const words = name.replaceAll("_", " ").trim();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/**
 * Draw a message's fields.
 *
 * @param {MessageView} message
 * @param {Names} names
 */
export function drawCard({ type, payload }, names) {
  const { lead, rest } = told(type, payload, names);
  const rows = rest.slice(0, MAX_FIELDS).map(([label, text]) => [element("dt", {}, label), element("dd", { dir: "auto" }, text)]);
  const more = rest.length - rows.length;
  return element(
    "div",
    { class: "fields" },
    element("p", { class: "kind" }, titleOf(type)),
    lead && element("p", { class: "lead", dir: "auto" }, lead),
    rows.length > 0 && element("dl", {}, ...rows.flat()),
    more > 0 && element("p", { class: "kind" }, counted(more, words.message.cardMore)),
  );
}

/**
 * Return a message in one line.
 *
 * @param {string} type
 * @param {Readonly<Record<string, any>>} payload
 * @param {Names} names
 */
export function cardText(type, payload, names) {
  const { lead, rest } = told(type, payload, names);
  const text = lead || rest.slice(0, 3).map(([label, value]) => `${label} ${value}`).join(", ");
  return text ? `${titleOf(type)}: ${text}`.replace(/\s+/g, " ") : titleOf(type);
}

/**
 * Return what a payload says: the text that leads, and the other fields with their labels.
 *
 * @param {string} type
 * @param {Readonly<Record<string, any>>} payload
 * @param {Names} names
 * @returns {{ lead: string, rest: [label: string, text: string][] }}
 */
function told(type, payload, names) {
  const fields = schemas.get(type) ?? {};
  if (!asked) void ask(names);
  const order = [...new Set([...Object.keys(fields), ...Object.keys(payload)])].filter((name) => !PASSED_OVER.has(name));
  const leads = LEADS.find((name) => order.includes(name) && typeof payload[name] === "string" && payload[name] !== "");
  /** @type {[string, string][]} */
  const rest = [];
  for (const name of order) {
    const value = payload[name];
    if (name === leads || value === undefined || value === fields[name]?.default) continue;
    const text = inWords(name, value);
    if (text) rest.push([fields[name]?.title ?? titleOf(name), text]);
  }
  return { lead: leads ? shortened(payload[leads]) : "", rest };
}

/** @param {string} name @param {any} value @returns {string} */
function inWords(name, value) {
  if (value === null || value === "") return "";
  if (typeof value === "boolean") return value ? words.message.yes : words.message.no;
  if (typeof value === "number") return /(_at|_until|^at|^until|timestamp)$/.test(name) && value > 1e9 ? wholeTime(value) : NUMBER.format(value);
  if (typeof value === "string") return shortened(value);
  const items = Array.isArray(value)
    ? value.map((one) => (typeof one === "object" ? "…" : inWords("", one)))
    : Object.entries(value).map(([key, one]) => `${titleOf(key)} ${one !== null && typeof one === "object" ? "…" : inWords(key, one)}`);
  const more = items.length > MAX_ITEMS ? ", …" : "";
  return shortened(items.slice(0, MAX_ITEMS).join(", ") + more);
}

/** @param {string} text */
function shortened(text) {
  const shown = [...upright(text)];
  return shown.length > MAX_TEXT ? `${shown.slice(0, MAX_TEXT).join("")}…` : shown.join("");
}

/** Fetch the schemas, once; everything is drawn again when they are there. @param {Names} names */
async function ask(names) {
  asked = true;
  try {
    const { types } = await names.messaging.restApi.request("GET", "/api/types");
    for (const { name, payload } of types) schemas.set(name, fieldsOf(payload));
    names.redraw();
  } catch {
    setTimeout(() => (asked = false), RETRY_MS); // the server is away
  }
}

/** Return the fields of a JSON Schema. @param {any} schema @returns {Record<string, Field>} */
function fieldsOf(schema) {
  const named = schema.$ref?.replace("#/$defs/", "");
  return (named ? schema.$defs?.[named] : schema)?.properties ?? {};
}
