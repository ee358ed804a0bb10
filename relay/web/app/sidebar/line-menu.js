/** The menu of a conversation: the same for its line in the list, and behind the dots of its header. */

import { leaveGroup } from "../groups/questions.js";
import { Registry } from "../registry.js";
import { words } from "../words.js";

/** @import { ConversationSummary } from "../../sdk/index.js" */
/** @import { MenuEntry } from "../menu.js" */
/** @import { Messenger } from "../messenger.js" */

/**
 * @typedef {object} LineEntry
 * @property {string} key
 * @property {number} order those of one ten stand together
 * @property {string | ((conversation: ConversationSummary, messenger: Messenger) => string)} icon the id of an icon
 * @property {(conversation: ConversationSummary, messenger: Messenger) => string} label
 * @property {(conversation: ConversationSummary, messenger: Messenger) => boolean} [shown] by default it always is
 * @property {(conversation: ConversationSummary, messenger: Messenger) => void} press
 * @property {boolean} [danger]
 */

/** @type {Registry<LineEntry>} */
const ENTRIES = new Registry();

/** @type {(messenger: Messenger, id: string) => boolean} */
let muted = () => false;

/** Add an entry to the menu of conversations. @param {LineEntry} entry */
export function addLineEntry(entry) {
  ENTRIES.add(entry);
}

/** Say what tells whether a conversation is muted. @param {(messenger: Messenger, id: string) => boolean} tells */
export function setMutedBy(tells) {
  muted = tells;
}

/** Tell whether a conversation is muted. @param {Messenger} messenger @param {string} id */
export function isMuted(messenger, id) {
  return muted(messenger, id);
}

/**
 * Return the entries of a conversation's menu.
 *
 * @param {ConversationSummary} conversation
 * @param {Messenger} messenger
 * @param {string[]} [without] keys of entries that are left out
 * @returns {(MenuEntry & { key: string, order: number })[]}
 */
export function lineEntries(conversation, messenger, without = []) {
  return ENTRIES.all
    .filter(({ key, shown }) => !without.includes(key) && (shown?.(conversation, messenger) ?? true))
    .map(({ key, order, icon, label, press, danger }) => ({
      key,
      order,
      icon: typeof icon === "string" ? icon : icon(conversation, messenger),
      label: label(conversation, messenger),
      danger,
      press: () => press(conversation, messenger),
    }));
}

addLineEntry({
  key: "open",
  order: 10,
  icon: "open",
  label: () => words.sidebar.open,
  press: ({ target }, messenger) => void messenger.openConversation(target),
});

addLineEntry({
  key: "read",
  order: 20,
  icon: ({ unread, markedUnread }) => (unread > 0 || markedUnread ? "read" : "unread"),
  label: ({ unread, markedUnread }) => (unread > 0 || markedUnread ? words.sidebar.markRead : words.sidebar.markUnread),
  shown: ({ over, lastMessage }) => !over && lastMessage !== null,
  press: ({ target, unread, markedUnread }, { store }) => {
    if (unread === 0 && !markedUnread) return store.marks.unread(target);
    store.marks.endUnread(target);
    store.markRead(target);
  },
});

addLineEntry({
  key: "pin",
  order: 30,
  icon: "pin",
  label: ({ pinned }) => (pinned ? words.sidebar.unpin : words.sidebar.pin),
  shown: ({ over, archived }) => !over && !archived,
  press: ({ target, pinned }, { store }) => store.marks.pin(target, !pinned),
});

addLineEntry({
  key: "archive",
  order: 40,
  icon: "archive",
  label: ({ archived }) => (archived ? words.sidebar.unarchive : words.sidebar.archive),
  shown: ({ lastMessage }) => lastMessage !== null,
  press: ({ target, archived }, { store }) => store.marks.archive(target, !archived),
});

addLineEntry({
  key: "leave",
  order: 90,
  icon: "leave",
  label: () => words.groups.leave,
  shown: ({ kind, over }) => kind === "group" && !over,
  press: ({ target }, messenger) => void leaveGroup(messenger, target),
  danger: true,
});
