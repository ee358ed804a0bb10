/** The lines between messages: days, "New", and what is still to be loaded. */

import { button, element } from "../dom.js";
import { day } from "../format.js";
import { words } from "../words.js";
import { askDate } from "./dates.js";
import { drawWhisper } from "./whispers.js";

/** @import { ConversationPane } from "./conversation.js" */
/** @import { Line } from "./lines.js" */

/** Draw a line that is no message. @param {Line} line @param {ConversationPane} pane */
export function drawBetween(line, pane) {
  if (line.kind === "day") return drawDay(line.timestamp, pane);
  if (line.kind === "new") return element("li", { class: "new" }, element("span", {}, words.conversation.new));
  if (line.kind === "whisper") return element("li", { class: "message" }, drawWhisper(line.whisper, () => pane.list.show(pane.view)));
  return drawMissing(line, pane);
}

/** @param {number} timestamp @param {ConversationPane} pane */
function drawDay(timestamp, pane) {
  const name = day(timestamp);
  const open = button(words.conversation.dayLabel(name), () => askDate(pane, timestamp), { sign: name, tabindex: -1, class: "date" });
  return element("li", { class: "day" }, open);
}

/** Draw that messages are being loaded, or could not be. @param {Line} line @param {ConversationPane} pane */
function drawMissing({ key }, { loading }) {
  if (loading.stateOf(key) !== "failed") return element("li", { class: "gap", "aria-busy": "true" }, element("span", { class: "hidden" }, words.conversation.loading));
  const again = button(words.conversation.loadAgain, () => loading.again(key), { class: "link" });
  return element("li", { class: "gap failed" }, words.conversation.notLoaded, " ", again);
}
