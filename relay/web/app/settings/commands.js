/** What the settings and invitations add to the page's commands, to its shortcuts, and to the keys. */

import { addCommand } from "../sidebar/commands.js";
import { addShortcuts } from "../sidebar/shortcuts.js";
import { BASE } from "../session.js";
import { words } from "../words.js";
import { canInvite, openInvite } from "./invite.js";
import { openSettings } from "./settings.js";

/** @import { Messenger } from "../messenger.js" */

addCommand({
  key: "settings",
  label: () => words.settings.title,
  icon: "settings",
  words: () => Object.values(words.settings).map((section) => (typeof section === "object" && "title" in section ? section.title : "")).join(" "),
  hint: "Ctrl+,",
  menu: 20,
  press: (messenger) => openSettings(messenger),
});
addCommand({
  key: "status",
  label: () => words.settings.status.set,
  icon: "react",
  menu: 10,
  press: (messenger) => openSettings(messenger, "status"),
});
addCommand({
  key: "invite",
  label: () => words.invite.title,
  icon: "invite",
  menu: 25,
  shown: canInvite,
  press: (messenger) => openInvite(messenger),
});
addCommand({
  key: "administration",
  label: () => words.settings.administration,
  icon: "shield",
  menu: 30,
  shown: ({ store }) => ["owner", "admin", "moderator"].includes(String(store.me?.role)),
  press: () => location.assign(`${BASE}/admin`),
});
addShortcuts({
  key: "settings",
  order: 90,
  title: () => words.settings.title,
  keys: [{ keys: "Ctrl+,", label: () => words.settings.title }],
});

/**
 * Open the settings by Ctrl+, (on a Mac, ⌘,) until the returned function is called.
 *
 * @param {Messenger} messenger
 */
export function listenForSettings(messenger) {
  const pressed = (/** @type {KeyboardEvent} */ event) => {
    if (event.key !== "," || !(event.ctrlKey || event.metaKey) || document.querySelector("dialog[open]")) return;
    event.preventDefault();
    openSettings(messenger);
  };
  addEventListener("keydown", pressed);
  return () => removeEventListener("keydown", pressed);
}
