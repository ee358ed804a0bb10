/** The actions of messages that come with the page. Other rooms add theirs in the same way. */

import { copyLink } from "../address.js";
import { copyText } from "../clipboard.js";
import { may } from "../groups/may.js";
import { isEvent, isTalk } from "../texts.js";
import { words } from "../words.js";
import { mayClose } from "./actions.js";
import { mayForward, openForward } from "./forward.js";
import { addMessageAction, ORDER } from "./message-actions.js";
import { openReactions, react } from "./reactions.js";
import { openReaders } from "./readers.js";

/** @import { MessageView } from "../../sdk/index.js" */
/** @import { ConversationPane } from "./conversation.js" */

const EDITABLE = new Set(["chat_message", "group_message"]);

/** Tell whether a message is stored and there. @param {MessageView} message */
function isThere({ messageId, deletedAt, state }) {
  return messageId !== null && deletedAt === null && state !== "streaming";
}

/** Tell whether one may do something about a message. @param {MessageView} message @param {ConversationPane} pane @param {string} act */
function mayDo(message, { view }, act) {
  return isThere(message) && !view.over && !isEvent(message) && may(view, act);
}

/** Tell whether the server lets this user delete a message. @param {MessageView} message @param {ConversationPane} pane */
export function mayRemove(message, pane) {
  return mayDo(message, pane, message.mine ? "delete" : "delete_others") && (message.mine || pane.isGroup);
}

/** Tell whether the server lets this user edit a message. @param {MessageView} message @param {ConversationPane} pane */
export function mayEdit(message, pane) {
  return mayDo(message, pane, "edit") && message.mine && EDITABLE.has(message.type);
}

/** @param {MessageView} message @param {ConversationPane} pane */
async function copy({ payload }, { messenger }) {
  const copied = await copyText(payload.content);
  messenger.notices.say(copied ? words.message.copied : words.message.notCopied);
}

/** Delete a message, and give the focus to the one after it. @param {MessageView} message @param {ConversationPane} pane */
async function remove(message, pane) {
  const line = () => pane.list.node.querySelector(`li[data-key="${CSS.escape(message.key)}"]`);
  if (!(await pane.remove(message))) return;
  /** @param {"nextElementSibling" | "previousElementSibling"} step */
  const towards = (step) => {
    let next = line()?.[step] ?? null;
    while (next && !next.matches("li.message")) next = next[step];
    return next;
  };
  const next = towards("nextElementSibling") ?? towards("previousElementSibling") ?? line();
  if (next instanceof HTMLElement) next.focus();
}

const own = words.message;
addMessageAction({ key: "react", letter: "+", order: ORDER.react, label: own.react, icon: "react", shown: (message, pane) => mayDo(message, pane, "react"), press: react });
addMessageAction({
  key: "reply",
  letter: "r",
  order: ORDER.reply,
  label: own.reply,
  icon: "reply",
  shown: (message, pane) => mayDo(message, pane, /** @type {any} */ (pane).thread === undefined ? "write" : "thread"),
  press: (message, pane) => pane.composer.reply(message),
});
addMessageAction({
  key: "edit",
  letter: "e",
  order: ORDER.edit,
  label: own.edit,
  icon: "edit",
  shown: mayEdit,
  press: (message, pane) => pane.composer.edit(message),
});
addMessageAction({
  key: "forward",
  letter: "f",
  order: ORDER.forward,
  label: words.forward.action,
  icon: "forward",
  shown: mayForward,
  press: openForward,
});
addMessageAction({
  key: "copy",
  letter: "c",
  order: ORDER.copy,
  label: own.copy,
  icon: "copy",
  shown: (message) => message.deletedAt === null && isTalk(message) && Boolean(message.payload.content),
  press: copy,
});
addMessageAction({
  key: "link",
  order: ORDER.link,
  label: own.copyLink,
  icon: "link",
  shown: ({ seq, deletedAt }) => seq !== null && deletedAt === null,
  press: (message, { messenger }) => void copyLink(message, messenger),
});
addMessageAction({
  key: "close",
  order: ORDER.close,
  label: own.closeActions,
  icon: "shut",
  shown: (message, pane) => isThere(message) && mayClose(message, pane.view),
  press: ({ messageId }, pane) => messageId !== null && pane.closeActions(messageId),
});
addMessageAction({
  key: "reactions",
  order: ORDER.reactions,
  label: own.whoReacted,
  icon: "people",
  shown: (message) => isThere(message) && message.reactions.length > 0,
  press: openReactions,
});
addMessageAction({
  key: "readers",
  order: ORDER.readers,
  label: own.whoRead,
  icon: "readers",
  shown: (message, pane) => isThere(message) && message.mine && pane.isGroup,
  press: openReaders,
});
addMessageAction({
  key: "remove",
  letter: "Delete",
  order: ORDER.remove,
  label: own.remove,
  icon: "delete",
  danger: true,
  shown: mayRemove,
  press: (message, pane) => void remove(message, pane),
});
