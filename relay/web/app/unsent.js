/** Unsent messages and changes: what signing out would lose, and what can be discarded. */

import { counted, words } from "./words.js";

/** @import { MessagingAPI, SentMessage } from "../sdk/index.js" */

const MESSAGES = new Set(["chat_message", "group_message"]);
const CHANGES = new Set(["message_edit", "message_delete"]);

/**
 * Return the question to ask before signing out, or null if nothing would be lost: unsent or refused messages, and changes.
 *
 * @param {readonly SentMessage[]} outgoing
 */
export function lossQuestion(outgoing) {
  const count = (/** @type {Set<string>} */ types) => outgoing.filter(({ envelope }) => types.has(envelope.type)).length;
  const [messages, changes] = [count(MESSAGES), count(CHANGES)];
  if (messages + changes === 0) return null;
  const { unsentMessages, unsentChanges, loseThem } = words.notices;
  const told = [messages > 0 && counted(messages, unsentMessages), changes > 0 && counted(changes, unsentChanges), loseThem];
  return told.filter(Boolean).join(" ");
}

/**
 * Discard refused changes, of this visit and of earlier ones: they have no line in a conversation with a retry button.
 *
 * @param {MessagingAPI} messaging
 * @returns {() => void} ends it
 */
export function dropRefused(messaging) {
  const drop = (/** @type {SentMessage} */ { id, envelope, state }) => {
    if (state === "failed" && !MESSAGES.has(envelope.type)) void messaging.discardMessage(id);
  };
  void messaging.socketManager.opened.then(
    () => messaging.outgoing.forEach(drop),
    () => {}, // the banner shows the error
  );
  return messaging.onSent(drop);
}
