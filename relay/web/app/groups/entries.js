/** Where groups and people are opened from: the heading of a conversation, its menu, and a message. */

import { addMessageAction } from "../conversation/message-actions.js";
import { addMenuEntry, setAbout } from "../conversation/menu.js";
import { isolate } from "../format.js";
import { openPerson } from "../people/person-dialog.js";
import { addCommand } from "../sidebar/commands.js";
import { lineEntries } from "../sidebar/line-menu.js";
import { words } from "../words.js";
import { browseGroups } from "./browse.js";
import { openGroup } from "./group-dialog.js";

/** @import { ConversationPane } from "../conversation/conversation.js" */

setAbout("group", ({ messenger, id }) => void openGroup(messenger, id));
setAbout("user", ({ messenger, id }) => openPerson(messenger, id));

addCommand({
  key: "public-groups",
  label: () => words.groups.browse,
  icon: "group",
  words: () => words.groups.browseWords,
  press: (messenger) => browseGroups(messenger),
});

addMenuEntry({
  id: "about",
  order: 60,
  icon: "info",
  label: ({ isGroup, names, view }) => (isGroup ? words.groups.about : words.people.about(isolate(names.title(view)))),
  shown: ({ view }) => view.kind !== null && !view.over,
  press: ({ isGroup, messenger, id }) => void (isGroup ? openGroup(messenger, id) : openPerson(messenger, id)),
});

const leaving = (/** @type {ConversationPane} */ { view, messenger }) => lineEntries(view, messenger).find(({ key }) => key === "leave");
addMenuEntry({
  id: "leave",
  order: 90,
  icon: "leave",
  danger: true,
  label: words.groups.leave,
  shown: (pane) => leaving(pane) !== undefined,
  press: (pane) => void leaving(pane)?.press(),
});

addMessageAction({
  key: "person",
  order: 320,
  icon: "person",
  label: ({ senderId }, { names }) => words.people.about(isolate(names.of(senderId))),
  help: words.people.aboutSender,
  shown: ({ mine, senderId }, { isGroup }) => isGroup && !mine && senderId !== "",
  press: ({ senderId }, { messenger }) => openPerson(messenger, senderId),
});
