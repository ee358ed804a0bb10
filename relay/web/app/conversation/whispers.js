/** Whispers: what plugins say to one user alone, drawn as lines of the conversation. */

import { button, element, icon } from "../dom.js";
import { clock, upright, wholeTime } from "../format.js";
import { words } from "../words.js";

/** @import { LatestView } from "../../sdk/store/latest.js" */

/** Where this browser keeps which ones its user has dismissed. It goes with the session. */
const DISMISSED = "relay.dismissed";
const MOST_DISMISSED = 200;
/** Those of this visit, and of all where the browser stores nothing. @type {Set<string>} */
const dismissed = new Set();

/** Return what identifies a whisper. @param {LatestView} value */
export function nameOf({ type, messageId, timestamp }) {
  return `${type}:${messageId}:${timestamp}`;
}

/** @returns {string[]} */
function kept() {
  try {
    return JSON.parse(localStorage.getItem(DISMISSED) ?? "[]");
  } catch {
    return []; // storage is forbidden
  }
}

/** Show a whisper no longer, in this browser. @param {LatestView} value */
function dismiss(value) {
  dismissed.add(nameOf(value));
  try {
    localStorage.setItem(DISMISSED, JSON.stringify([...kept(), nameOf(value)].slice(-MOST_DISMISSED)));
  } catch {
    // it is back after a reload
  }
}

/**
 * Return those of some values that are whispered, say something in words (a private vote does not) and were not dismissed.
 *
 * @param {readonly LatestView[]} values
 */
export function standing(values) {
  const said = values.filter((value) => value.whispered && textOf(value) !== "");
  if (said.length === 0) return said;
  const gone = new Set([...dismissed, ...kept()]);
  return said.filter((value) => !gone.has(nameOf(value)));
}

/** @param {LatestView} value */
function textOf({ payload }) {
  const said = payload.text ?? payload.content ?? payload.title;
  return typeof said === "string" ? upright(said) : "";
}

/**
 * Draw a whisper, with a button to be rid of it.
 *
 * @param {LatestView} value
 * @param {() => void} [gone] called once the user has dismissed it
 */
export function drawWhisper(value, gone = () => {}) {
  const close = () => {
    const line = /** @type {HTMLElement | null} */ (node.closest("li"));
    dismiss(value);
    node.remove();
    line?.focus({ preventScroll: true });
    gone();
  };
  const node = element(
    "p",
    { class: "whisper", dir: "auto" },
    textOf(value),
    element("small", {}, `${words.message.onlyYou} · `, element("time", { title: wholeTime(value.timestamp) }, clock(value.timestamp))),
    button(words.notices.dismiss, close, { sign: icon("close"), class: "quiet dismiss" }),
  );
  return node;
}
