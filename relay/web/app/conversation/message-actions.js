/**
 * The actions of messages: a registry that rooms of the page add to. The toolbar over a message has the first of them, its menu
 * the others, and a letter does one where the message has the focus.
 */

import { messageActions } from "../plugins/plugins.js";

/** @import { MessageView } from "../../sdk/index.js" */
/** @import { ConversationPane } from "./conversation.js" */

/**
 * @typedef {object} MessageAction
 * @property {string} key names it; adding another one with the same key replaces it
 * @property {string | ((message: MessageView, pane: ConversationPane) => string)} label
 * @property {string | ((message: MessageView, pane: ConversationPane) => string | Element)} icon a name of icons.js, or an element
 * @property {number} order those under 100 are buttons of the toolbar, if there are not too many; the rest is in its menu
 * @property {(message: MessageView, pane: ConversationPane) => boolean} shown
 * @property {(message: MessageView, pane: ConversationPane, anchor: Element) => unknown} press
 * @property {boolean} [danger] whether it cannot be taken back
 * @property {string} [letter] the key that does it where the message has the focus
 * @property {string} [help] what the help says of that key, where the label changes
 */

/**
 * @typedef {object} BoundAction an action of one message
 * @property {number} order
 * @property {string} key
 * @property {string} label
 * @property {string | Element} icon
 * @property {boolean} danger
 * @property {string} letter empty for none
 * @property {(anchor: Element) => unknown} press
 */

/** The orders of the actions that come with the page; those of plugins' modules follow the answer. */
export const ORDER = Object.freeze({ react: 10, reply: 20, plugin: 30, edit: 40, forward: 190, copy: 200, link: 210, close: 300, reactions: 305, readers: 310, remove: 900 });

/** @type {Map<string, MessageAction>} */
const known = new Map();

/** @param {MessageAction} action */
export function addMessageAction(action) {
  known.set(action.key, action);
}

/**
 * Return what can be done with a message now, in order.
 *
 * @param {MessageView} message
 * @param {ConversationPane} pane
 * @returns {BoundAction[]}
 */
export function actionsOf(message, pane) {
  const own = [...known.values()].filter(({ shown }) => shown(message, pane)).map((action) => bound(action, message, pane));
  const plugins = message.deletedAt === null && message.messageId !== null ? messageActions(message) : [];
  const theirs = plugins.map(({ label, sign, press }) => {
    const icon = sign instanceof Element ? sign : signOf(sign ?? "•");
    return { order: ORDER.plugin, key: `plugin:${label}`, label, icon, danger: false, letter: "", press };
  });
  return [...own, ...theirs].sort((one, other) => one.order - other.order);
}

/**
 * Return the keys that do something with the message that has the focus, for the help.
 *
 * @returns {{ letter: string, label: string }[]}
 */
export function messageLetters() {
  const lettered = [...known.values()].filter(({ letter }) => letter).sort((one, other) => one.order - other.order);
  return lettered.flatMap(({ letter = "", label, help = label }) => (typeof help === "string" ? { letter, label: help } : []));
}

/** @param {MessageAction} action @param {MessageView} message @param {ConversationPane} pane */
function bound({ key, label, icon, order, press, danger = false, letter = "" }, message, pane) {
  return {
    order,
    key,
    label: typeof label === "string" ? label : label(message, pane),
    icon: typeof icon === "string" ? icon : icon(message, pane),
    danger,
    letter,
    press: (/** @type {Element} */ anchor) => press(message, pane, anchor),
  };
}

/** @param {string} text */
function signOf(text) {
  const sign = document.createElement("span");
  sign.textContent = text;
  return sign;
}
