/** People as they are drawn everywhere: their avatar, and a line of what one of them said. */

import { element } from "../dom.js";
import { hue, initials } from "../format.js";
import { decorate } from "./pictures.js";

/** @import { Presence } from "../../sdk/types.js" */

/**
 * Draw a user's or a group's picture, or initials in their colour, with a dot for the status where it is known.
 *
 * @param {string} id
 * @param {string} name
 * @param {Presence} [status]
 */
export function avatar(id, name, status = "unknown") {
  const dot = status !== "unknown" && element("i", { class: `dot ${status}` });
  const drawn = element("span", { class: `avatar ${hue(id)}`, "aria-hidden": "true" }, initials(name), dot);
  decorate(drawn, id);
  return drawn;
}

/**
 * Draw what somebody said, on one line. Name and text are isolated: in scripts of different directions neither reorders
 * the other.
 *
 * @param {string} who empty where it is clear
 * @param {string} text
 */
export function quoteLine(who, text) {
  return [who && element("bdi", {}, who), who && ": ", element("bdi", {}, text)];
}
