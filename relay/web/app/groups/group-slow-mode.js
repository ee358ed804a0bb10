/** The slow mode in a group's dialog: as who may set it chooses it, and as the others read it. */

import { element } from "../dom.js";
import { span } from "../format.js";
import { slowModeText } from "../moderation/slow-mode.js";
import { row, select } from "../settings/parts.js";
import { words } from "../words.js";

/** @import { Group } from "../../sdk/types.js" */
/** @import { Saving } from "../settings/parts.js" */

/** Seconds that are offered. */
const CHOICES = [5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21_600];

/**
 * Draw the slow mode of a group; null where there is none to be read, and of a server without it.
 *
 * @param {Group} group
 * @param {{ saving: Saving, change: (seconds: number) => void }} more saving: says whether a change was kept
 */
export function drawSlowMode({ slow_mode_seconds: seconds, may = [] }, { saving, change }) {
  if (seconds === undefined) return null;
  const texts = words.moderation.slowMode;
  if (!may.includes("slow_mode")) return seconds > 0 && element("p", { class: "note" }, slowModeText(seconds));
  const offered = [...new Set([...CHOICES, seconds])].filter((one) => one > 0).sort((one, other) => one - other);
  const options = Object.fromEntries([["0", texts.off], ...offered.map((one) => [String(one), texts.every(span(one))])]);
  const control = select(options, String(seconds), (chosen) => change(Number(chosen)));
  control.name = "slow_mode";
  return row(texts.name, control, { hint: texts.hint, saving });
}
