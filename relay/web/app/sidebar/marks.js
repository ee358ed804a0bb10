/** What the menus of a message and of a conversation have for the user alone: saving, and the marks of the list's lines. */

import { addMenuEntry } from "../conversation/menu.js";
import { addMessageAction } from "../conversation/message-actions.js";
import { words } from "../words.js";
import { lineEntries } from "./line-menu.js";

/** @import { ConversationPane } from "../conversation/conversation.js" */

addMessageAction({
  key: "save",
  order: 230,
  icon: "bookmark",
  label: (message) => (message.saved ? words.sidebar.unsave : words.sidebar.save),
  shown: ({ messageId, deletedAt }, { store }) => messageId !== null && deletedAt === null && store.marks.supported,
  press: ({ conversation, messageId, saved }, { store }) => void store.marks.save(conversation, Number(messageId), !saved),
});

addMessageAction({
  key: "unread",
  order: 260,
  icon: "unread",
  label: words.sidebar.unreadFrom,
  shown: ({ seq, mine }, { store, view }) => seq !== null && !mine && !view.over && store.marks.supported,
  press: ({ conversation, seq }, { store }) => store.marks.unread(conversation, Number(seq)),
});

addMenuEntry({
  id: "search",
  order: 10,
  icon: "search",
  label: words.sidebar.searchHere,
  press: ({ id, messenger }) => messenger.sidebar?.search.within(id),
});

for (const key of ["read", "pin", "archive"]) {
  const of = (/** @type {ConversationPane} */ { view, messenger }) => lineEntries(view, messenger).find((entry) => entry.key === key);
  addMenuEntry({
    id: key,
    order: 70,
    label: (pane) => of(pane)?.label ?? "",
    icon: key,
    shown: (pane) => of(pane) !== undefined,
    press: (pane) => of(pane)?.press(),
  });
}
