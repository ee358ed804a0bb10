/** The menu of a conversation, and what its heading opens: other rooms of the page add to both. */

import { button, icon } from "../dom.js";
import { openMenu } from "../menu.js";
import { words } from "../words.js";

/** @import { ConversationPane } from "./conversation.js" */

/**
 * @typedef {object} MenuEntry
 * @property {string} id identifies it: another entry of this id takes its place
 * @property {string | ((pane: ConversationPane) => string)} label
 * @property {string} [icon] a name of icons.js
 * @property {(pane: ConversationPane) => boolean} [shown] whether it is for this conversation, as it is now; always by default
 * @property {(pane: ConversationPane) => void} press
 * @property {number} [order] its place: the lowest first; 50
 * @property {boolean} [danger] whether it takes something away
 */

/** @type {Map<string, MenuEntry>} */
const entries = new Map();
/** What the heading opens, by the conversation's kind. @type {Map<string, (pane: ConversationPane) => void>} */
const abouts = new Map();

/** Add an entry to the menu of every conversation. @param {MenuEntry} entry */
export function addMenuEntry(entry) {
  entries.set(entry.id, entry);
}

/**
 * Have the heading of a conversation, its picture and its name, open something.
 *
 * @param {"user" | "group"} kind
 * @param {(pane: ConversationPane) => void} open
 */
export function setAbout(kind, open) {
  abouts.set(kind, open);
}

/** Return what the heading of a conversation opens. @param {ConversationPane} pane */
export function aboutOf(pane) {
  return abouts.get(pane.view.kind ?? (pane.names.isUser(pane.id) ? "user" : ""));
}

/**
 * Draw the button of a conversation's menu.
 *
 * @param {ConversationPane} pane
 */
export function menuButton(pane) {
  const open = () => {
    const shown = [...entries.values()].filter((entry) => entry.shown?.(pane) ?? true);
    shown.sort((one, other) => (one.order ?? 50) - (other.order ?? 50));
    const items = shown.map(({ label, press, ...entry }) => ({
      ...entry, label: typeof label === "string" ? label : label(pane), press: () => press(pane),
    }));
    openMenu(words.conversation.menu, opener, items);
  };
  const opener = button(words.conversation.menu, open, {
    sign: icon("more"), class: "quiet", "aria-haspopup": "menu",
  });
  return opener;
}
