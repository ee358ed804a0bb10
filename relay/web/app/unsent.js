/** What this browser has not got rid of yet: what there is to lose, and what nobody needs any more. */

/** @import { MessagingAPI, SentMessage } from "../sdk/index.js" */

const MESSAGES = new Set(["chat_message", "group_message"]);
const CHANGES = new Set(["message_edit", "message_delete"]);

/**
 * Return what is to be asked before all of it is lost, or null: messages, sent never or refused, and changes of them.
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
 * Drop what was refused and has no line in a conversation from which it could be tried again: of now, and of earlier visits.
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
    () => {}, // the banner tells
  );
  return messaging.onSent(drop);
}
