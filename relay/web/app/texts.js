/** Short texts for messages, groups and statuses: for the list, for quotes, for screen readers. */

import { cardText } from "./cards.js";
import { ago, isolate, upright } from "./format.js";
import { textByPlugin } from "./plugins.js";

/** @import { ConversationSummary, EndView, MessageView, StatusView } from "../sdk/index.js" */
/** @import { Names } from "./names.js" */

/** @type {Record<string, string>} */
const STATUSES = { online: "Online", away: "Away", busy: "Busy", offline: "Offline", unknown: "" };

/** @type {Record<string, string>} */
const STATES = {
  uploading: "Uploading",
  queued: "Waiting to be sent",
  sent: "Sent",
  delivered: "Delivered",
  read: "Read",
  failed: "Not sent",
  streaming: "Being written",
};

/** Tell whether a message is a text, of people's or a bot's answer. @param {{ type: string }} message */
export function isTalk({ type }) {
  return type === "chat_message" || type === "group_message" || type === "slash_response";
}

/**
 * Return a message's text in one line.
 *
 * @param {MessageView} message
 * @param {Names} names
 */
export function gist(message, names) {
  const { payload, type } = message;
  if (message.deletedAt !== null) return "Deleted message";
  if (type === "group_event") return eventText(message, names);
  if (!isTalk(message)) return upright(textByPlugin(message)) || cardText(type, payload, names);
  const files = payload.attachments?.length ?? 0;
  return upright(payload.content ?? "") || (files === 1 ? "A file" : files > 1 ? `${files} files` : "A message");
}

/**
 * Return the sender and the text of a conversation's newest message; the sender is empty where it is clear.
 *
 * @param {ConversationSummary} conversation
 * @param {Names} names
 * @returns {[who: string, what: string]}
 */
export function preview({ lastMessage: message, kind, over }, names) {
  if (!message) return ["", over ? endText(over, "this group", names) : ""];
  const text = gist(message, names);
  if (message.type === "group_event") return ["", text];
  return [message.mine ? "You" : kind === "group" ? names.of(message.senderId) : "", text];
}

/**
 * Return how a group ended for the reader.
 *
 * @param {EndView} end
 * @param {string} name the group's
 * @param {Names} names
 */
export function endText({ event, by }, name, names) {
  const who = by === names.messaging.socketManager.userId ? "You" : isolate(names.of(by));
  if (event === "deleted") return `${who} deleted ${isolate(name)}.`;
  return who === "You" ? `You left ${isolate(name)}.` : `${who} removed you from ${isolate(name)}.`;
}

/**
 * Return what happened to a group.
 *
 * @param {MessageView} message
 * @param {Names} names
 */
export function eventText({ payload, senderId }, names) {
  const who = isolate(names.of(senderId));
  const whom = isolate(names.of(payload.user_id ?? ""));
  const themself = payload.user_id === senderId;
  switch (payload.event) {
    case "created":
      return `${who} created the group`;
    case "renamed":
      return `${who} named the group ${isolate(payload.name)}`;
    case "member_added":
      return themself ? `${who} joined` : `${who} added ${whom}`;
    case "member_removed":
      return themself ? `${who} left` : `${who} removed ${whom}`;
    case "role_changed":
      return `${whom} is now ${payload.role}`;
    case "deleted":
      return `${who} deleted the group`;
    default:
      return "The group changed";
  }
}

/**
 * Return a user's status in words.
 *
 * @param {StatusView} status
 */
export function statusText({ status, text, lastSeen }) {
  if (status === "offline" && lastSeen) return `Last seen ${ago(lastSeen)}`;
  return [STATUSES[status], text && isolate(text)].filter(Boolean).join(" · ");
}

/** @param {MessageView} message */
export function stateText({ state, pending }) {
  return pending ? "Changing" : STATES[state];
}
