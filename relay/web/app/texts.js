/** Short texts for messages, groups and statuses: for the list, for quotes, for screen readers. */

import { cardText } from "./conversation/cards.js";
import { writtenText } from "./conversation/written.js";
import { ago, isolate, moment, span, upright } from "./format.js";
import { timeoutText } from "./moderation/restricted.js";
import { reportText } from "./moderation/report-text.js";
import { may } from "./groups/may.js";
import { textByPlugin } from "./plugins/plugins.js";
import { counted, words } from "./words.js";

/** @import { ConversationSummary, ConversationView, EndView, MessageView, StatusView } from "../sdk/index.js" */
/** @import { Names } from "./names.js" */

/** Tell whether a message is a text, of people's or a bot's answer. @param {{ type: string }} message */
export function isTalk({ type }) {
  return type === "chat_message" || type === "group_message" || type === "slash_response";
}

/** Tell whether a message is a line about the conversation, which nobody wrote. @param {{ type: string, deletedAt: number | null }} message */
export function isEvent({ type, deletedAt }) {
  return type === "group_event" || (type === "pin_event" && deletedAt === null);
}

/**
 * Return a message's text in one line.
 *
 * @param {MessageView} message
 * @param {Names} names
 */
export function gist(message, names) {
  const { payload, type } = message;
  if (message.deletedAt !== null) return message.removed ? words.moderation.removed : words.gist.deleted;
  if (!message.mine && names.isBlocked(message.senderId)) return words.moderation.folded;
  if (type === "report") return reportText(payload, names);
  if (isEvent(message)) return eventText(message, names);
  if (!isTalk(message)) return upright(textByPlugin(message)) || cardText(type, payload, names);
  return writtenText(payload, names) || filesText(message) || words.gist.message;
}

/** Return what files a message has: the name of one, the number of several. @param {MessageView} message */
function filesText(message) {
  /** @type {readonly { name?: string }[]} */
  const files = /** @type {any} */ (message).files ?? message.payload.attachments ?? [];
  if (files.length > 1) return counted(files.length, words.gist.files);
  return files.length === 1 ? upright(files[0].name ?? words.gist.file) : "";
}

/**
 * Return the sender and the text of a conversation's newest message; the sender is empty where it is clear.
 *
 * @param {ConversationSummary} conversation
 * @param {Names} names
 * @returns {[who: string, what: string]}
 */
export function preview({ lastMessage: message, kind, over }, names) {
  if (!message) return ["", over ? endText(over, words.gist.thisGroup, names) : ""];
  const text = gist(message, names);
  if (isEvent(message)) return ["", text];
  return [message.mine ? words.gist.you : kind === "group" ? names.of(message.senderId) : "", text];
}

/**
 * Return how a group ended for the reader.
 *
 * @param {EndView} end
 * @param {string} name the group's
 * @param {Names} names
 */
export function endText({ event, by }, name, names) {
  const { youDeletedGroup, youLeft, theyDeletedGroup, theyRemovedYou } = words.gist;
  const group = isolate(name);
  if (by === names.messaging.socketManager.userId) return event === "deleted" ? youDeletedGroup(group) : youLeft(group);
  const who = isolate(names.of(by));
  return event === "deleted" ? theyDeletedGroup(who, group) : theyRemovedYou(who, group);
}

/**
 * Return what happened to a group, or in a conversation.
 *
 * @param {MessageView} message
 * @param {Names} names
 */
export function eventText({ payload, senderId, type }, names) {
  const { gist } = words;
  const who = isolate(names.of(senderId));
  if (type === "pin_event") return gist.pinned(who);
  const whom = isolate(names.of(payload.user_id ?? ""));
  const themself = payload.user_id === senderId;
  switch (payload.event) {
    case "created":
      return gist.created(who);
    case "renamed":
      return gist.renamed(who, isolate(payload.name));
    case "member_added":
      return themself ? gist.joined(who) : gist.added(who, whom);
    case "member_removed":
      return themself ? gist.left(who) : payload.banned ? words.moderation.banned(who, whom) : gist.removed(who, whom);
    case "role_changed":
      return gist.roleChanged(whom, /** @type {Record<string, string>} */ (gist.roles)[payload.role] ?? payload.role);
    case "deleted":
      return gist.groupDeleted(who);
    case "member_timed_out":
      return words.moderation.timedOut(who, whom, payload.until ? moment(payload.until) : "");
    case "timeout_lifted":
      return words.moderation.timeoutLifted(who, whom);
    case "member_banned":
      return words.moderation.banned(who, whom);
    case "ban_lifted":
      return words.moderation.banLifted(who, whom);
    case "changed":
      if (payload.closed !== undefined) return payload.closed ? gist.groupClosed(who) : gist.groupOpened(who);
      if (payload.slow_mode_seconds !== undefined) return slowModeChange(who, payload.slow_mode_seconds);
      return payload.rights ? gist.rightsChanged(who) : gist.groupChanged(who);
    default:
      return gist.groupChanged(who);
  }
}

/** @param {string} who @param {number} seconds */
function slowModeChange(who, seconds) {
  const { slowMode } = words.moderation;
  return seconds > 0 ? slowMode.set(who, span(seconds)) : slowMode.ended(who);
}

/**
 * Return a user's status in words.
 *
 * @param {StatusView} status
 */
export function statusText({ status, text, lastSeen }) {
  if (status === "offline" && lastSeen) return words.gist.lastSeen(ago(lastSeen));
  const told = /** @type {Record<string, string>} */ (words.gist.statuses)[status];
  return [told, text && isolate(text)].filter(Boolean).join(" · ");
}

/** @param {MessageView} message */
export function stateText({ state, pending }) {
  return pending ? words.gist.changing : words.gist.states[state];
}

/**
 * Return what to say in place of a conversation, or of the field to write in: that one is no longer in the group, that there is
 * nobody of that name, that it is not at hand without a network. Null where there is nothing to say.
 *
 * @param {ConversationView} view
 * @param {Names} names
 * @param {{ connected: boolean, refused: boolean, timeout?: import("./moderation/restricted.js").Timeout | null }} more refused: whether the
 *   server knows no such conversation; timeout: that holds there for this user
 * @returns {{ what: "timedOut" | "blocked" | "removed" | "left" | "deleted" | "closed" | "readOnly" | "nobody" | "disabled" | "notHere", title: string, text: string, writable: boolean } | null}
 *   writable: whether what is written there has a reader
 */
export function stateOf(view, names, { connected, refused, timeout = null }) {
  const { over, target, kind, source } = view;
  const { gist } = words;
  const name = names.title(view);
  if (over) {
    const left = over.by === names.messaging.socketManager.userId;
    const what = over.event === "deleted" ? "deleted" : left ? "left" : "removed";
    const text = over.event === "deleted" ? gist.groupGone : gist.noLongerYours;
    return { what, title: endText(over, name, names), text, writable: false };
  }
  if (refused && kind === null) {
    return { what: "nobody", title: gist.nobody(isolate(target)), text: gist.nobodyWhy, writable: false };
  }
  if (kind !== "group" && names.isDisabled(target)) {
    return { what: "disabled", title: gist.disabled(isolate(name)), text: gist.disabledWhy, writable: false };
  }
  if (view.closed) return { what: "closed", title: gist.closed(isolate(name)), text: gist.closedWhy, writable: false };
  if (!may(view, "write")) return { what: "readOnly", title: gist.readOnly(isolate(name)), text: may(view, "thread") ? gist.readOnlyThreads : gist.readOnlyWhy, writable: false };
  if (timeout) return { what: "timedOut", ...timeoutText(timeout), writable: false };
  if (kind !== "group" && names.isBlocked(target)) {
    return { what: "blocked", title: words.moderation.youBlock(isolate(name)), text: words.moderation.youBlockWhy, writable: false };
  }
  if (source === null && !connected) return { what: "notHere", title: gist.notHere, text: gist.notHereWhy, writable: true };
  return null;
}
