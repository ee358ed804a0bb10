/**
 * Errors in people's words. A refusal is told by its `details.reason` where the page knows it, else by its code; a refusal that
 * a plugin wrote for people stays as it is.
 */

import { isolate, moment, size, span } from "./format.js";
import { counted, words } from "./words.js";

/** How the server words what does not fit a schema, and what is absent: for those who write clients. */
const DECODED = /`\$|^invalid body:|^Expected `/;
const ABSENT = /, or you may not see it$/;
/** For texts with numbers and names: a language's file imports nothing. */
const HELPERS = { counted, isolate, moment, size, span };

/**
 * Return what went wrong as a sentence for people; empty for what was only cancelled.
 *
 * @param {unknown} error
 * @returns {string}
 */
export function problem(error) {
  if (!(error instanceof Error)) return sentence(String(error));
  if (error.name === "AbortError") return "";
  const { code, details = {} } = /** @type {{ code?: unknown, details?: Record<string, any> }} */ (error);
  if (error.name === "ConnectionClosed") return closing(error);
  if (code === undefined) return words.errors.unexpected(error.message); // a fault of the page's own
  return byReason(details) || byCode(String(code), /** @type {any} */ (error));
}

/**
 * Return what is wrong with one field of a form, to be shown next to it; empty if the error is not about that field.
 *
 * @param {unknown} error
 * @param {string} name the field's name in the call's body
 */
export function fieldProblem(error, name) {
  return fieldOf(error) === name ? problem(error) : "";
}

/**
 * Return the name of the field that a refusal is about: the first step of its place in the body; empty where it names none.
 *
 * @param {unknown} error
 */
export function fieldOf(error) {
  const { field } = /** @type {any} */ (error)?.details ?? {};
  return typeof field === "string" ? (field.match(/[^.[\]/$]+/)?.[0] ?? "") : "";
}

/**
 * Return why the server ended the connection for good, as a sentence.
 *
 * @param {any} error a ConnectionClosed, or what else the socket's `lastError` is
 */
export function closing(error) {
  if (error?.name !== "ConnectionClosed") return problem(error);
  const known = /** @type {Record<string, string>} */ (words.errors.closed)[error.code];
  return known ?? sentence(error.reason || error.message);
}

/**
 * Return a text as a sentence: with a capital, and a full stop.
 *
 * @param {string} text
 */
export function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?…]$/.test(text) ? "" : ".");
}

/** @param {Record<string, any>} details */
function byReason(details) {
  const told = /** @type {Record<string, string | ((details: any) => string)>} */ (words.errors.reasons)[details.reason];
  return typeof told === "function" ? told({ ...details, ...HELPERS }) : (told ?? "");
}

/** @param {string} code @param {Error & { retryAfter?: number, details?: Record<string, any> }} error */
function byCode(code, error) {
  const told = /** @type {Record<string, string | ((error: any) => string)>} */ (words.errors.codes)[code];
  if (told !== undefined) return typeof told === "function" ? told({ retryAfter: error.retryAfter, ...HELPERS }) : told;
  if (ABSENT.test(error.message)) return words.errors.absent;
  if (!DECODED.test(error.message)) return sentence(error.message);
  const field = fieldOf(error);
  return /** @type {Record<string, string>} */ (words.errors.fields)[field] ?? words.errors.unfit;
}
