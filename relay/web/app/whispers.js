/** Whispers: what plugins say to one user alone, drawn as lines of the conversation. */

import { element } from "./dom.js";
import { clock, upright, wholeTime } from "./format.js";

/** @import { LatestView } from "../sdk/store/latest.js" */

/** @param {LatestView} value */
function textOf({ payload }) {
  const said = payload.text ?? payload.content ?? payload.title;
  return typeof said === "string" ? upright(said) : "";
}

/**
 * Return those of some values that are whispered and say something in words; a private vote does not.
 *
 * @param {readonly LatestView[]} values
 */
export function whispersIn(values) {
  return values.filter((value) => value.whispered && textOf(value) !== "");
}

/** @param {LatestView} value */
export function drawWhisper(value) {
  return element(
    "p",
    { class: "whisper", dir: "auto" },
    textOf(value),
    element("small", {}, "Only you can see this · ", element("time", { title: wholeTime(value.timestamp) }, clock(value.timestamp))),
  );
}
