/** Unsent messages and changes: what signing out would lose, and what can be discarded. */

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
  const what = [
    messages > 0 && (messages === 1 ? "a message" : `${messages} messages`),
    changes > 0 && (changes === 1 ? "a change of one" : `${changes} changes`),
  ]
    .filter(Boolean)
    .join(" and ");
  const [are, them] = messages + changes === 1 ? ["is", "it"] : ["are", "them"];
  return `${what.charAt(0).toUpperCase()}${what.slice(1)} ${are} not sent yet. Sign out and lose ${them}?`;
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
