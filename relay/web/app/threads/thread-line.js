/** What a message says of its thread: below a root how it stands, below a reply that the conversation shows as well, where it is. */

import { hashOfThread } from "../address.js";
import { element, icon } from "../dom.js";
import { clock, moment } from "../format.js";
import { avatar } from "../people/avatar.js";
import { counted, NUMBER, words } from "../words.js";

/** @import { MessageView } from "../../sdk/index.js" */
/** @import { Names } from "../names.js" */

/**
 * Draw what leads to the thread of a message; nothing where it has none.
 *
 * @param {MessageView} message
 * @param {{ id: string, names: Names, thread?: number }} pane
 */
export function threadMarks({ messageId, payload, thread }, pane) {
  if (pane.thread !== undefined) return null;
  if (typeof payload.thread === "number") return link(pane.id, payload.thread, "in-thread", [icon("thread"), words.threads.inThread]);
  if (!thread || messageId === null) return null;
  const faces = element("span", { class: "faces" }, ...thread.repliers.map((id) => avatar(id, pane.names.of(id))));
  const replies = counted(thread.replies, words.threads.replies);
  const last = words.threads.last(timeOf(thread.lastAt));
  const unread = thread.follows && thread.unread > 0 ? counted(thread.unread, words.threads.unread) : "";
  const badge = unread && element("b", { class: "count", "aria-hidden": "true" }, NUMBER.format(thread.unread));
  const spoken = unread && element("span", { class: "spoken" }, unread);
  const parts = [faces, element("span", { class: "replies" }, replies), element("span", { class: "last" }, last), badge, spoken];
  return link(pane.id, messageId, "thread-line", parts);
}

/** A time of today as a clock has it, another one with its day. @param {number} seconds */
export function timeOf(seconds) {
  const at = new Date(seconds * 1000);
  return at.toDateString() === new Date().toDateString() ? clock(seconds) : moment(seconds);
}

/** @param {string} id @param {number} rootId @param {string} kind @param {(Element | string | null)[]} parts */
function link(id, rootId, kind, parts) {
  return element("a", { class: `thread-mark ${kind}`, href: hashOfThread(id, rootId) }, ...parts.filter(Boolean));
}
