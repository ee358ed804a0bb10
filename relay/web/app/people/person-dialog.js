/** The dialog of a person: their picture, name and id, how they are, and what leads to them. */

import { button, element, fill, icon, openDialog } from "../dom.js";
import { isolate } from "../format.js";
import { openRestrict } from "../moderation/restrict-dialog.js";
import { openSettings } from "../settings/settings.js";
import { copyButton } from "../settings/parts.js";
import { lineEntries } from "../sidebar/line-menu.js";
import { statusText } from "../texts.js";
import { words } from "../words.js";
import { avatar } from "./avatar.js";
import { learnPicture } from "./pictures.js";

/** @import { Messenger } from "../messenger.js" */

const texts = words.people;
const MOST_GROUPS = 50;
/** The roles of those who moderate the server. */
const MODERATORS = new Set(["moderator", "admin", "owner"]);

/** Open the dialog of a person. @param {Messenger} messenger @param {string} userId */
export function openPerson(messenger, userId) {
  const { messaging, names, session, store } = messenger;
  const own = userId === session.userId;
  const face = element("div", { class: "person-face" });
  const groups = element("div", { class: "common" });
  const copy = copyButton(texts.copyId, () => userId, { class: "link" });
  const id = element("p", { class: "person-id" }, element("small", {}, texts.id), element("output", {}, element("bdi", {}, userId)), copy);
  const go = (/** @type {() => unknown} */ act) => () => {
    for (const open of document.querySelectorAll("dialog")) open.close(); // a group's, from which one came
    act();
  };
  const mute = !own && muteEntry(messenger, userId);
  const choices = element(
    "p",
    { class: "choices" },
    button(own ? texts.yourNotes : texts.message, go(() => messenger.openConversation(userId)), { class: "primary" }),
    own && button(texts.editProfile, go(() => openSettings(messenger, "profile"))),
    !own && blockButton(messenger, userId),
    mute && button(mute.label, () => (mute.press(), dialog.close())),
    ...(own ? [] : moderatorButtons(messenger, userId)),
  );
  const show = () => {
    const name = names.of(userId);
    const status = own ? undefined : store.presence(userId);
    const told = names.isDisabled(userId) ? words.gist.disabled(isolate(name)) : status ? statusText(status) : "";
    fill(face, avatar(userId, name, status?.status), element("h3", {}, element("bdi", {}, name)), element("p", { class: "about", role: "status" }, told));
  };
  const dialog = openDialog(texts.person, element("div", { class: "person-body" }, face, choices, id, groups));
  const ends = [names.onChange(show), store.subscribe(`presence:${userId}`, show), own ? () => {} : messaging.subscribeToUserStatus([userId])];
  dialog.addEventListener("close", () => ends.forEach((end) => end()));
  show();
  void renew(messenger, userId);
  if (!own) void showCommon(messenger, userId, groups, go);
}

/** Return the button that blocks somebody, or unblocks them. @param {Messenger} messenger @param {string} userId */
function blockButton({ blocked }, userId) {
  const label = () => (blocked.has(userId) ? words.moderation.unblock : words.moderation.block);
  const press = () => (blocked.has(userId) ? blocked.unblock(userId) : blocked.block(userId)).then(() => fill(node, label()));
  const node = button(label(), () => void press());
  return node;
}

/** Return what moderators of the server do about somebody. @param {Messenger} messenger @param {string} userId */
function moderatorButtons(messenger, userId) {
  if (!MODERATORS.has(/** @type {any} */ (messenger.store.me)?.role ?? "")) return [];
  const act = (/** @type {"timeout" | "ban"} */ kind) => () =>
    void openRestrict(messenger, kind, userId, null).then((done) => done && messenger.notices.say(words.moderation[kind].done(isolate(messenger.names.of(userId)))));
  return [button(words.moderation.timeout.short, act("timeout")), button(words.moderation.ban.short, act("ban"), { class: "danger" })];
}

/** Return the entry that mutes the conversation with somebody, where there is one. @param {Messenger} messenger @param {string} userId */
function muteEntry(messenger, userId) {
  const summary = messenger.store.conversations.find(({ target }) => target === userId);
  return summary && lineEntries(summary, messenger).find(({ key }) => key === "mute");
}

/** Ask for the name and the picture once more: nobody tells of a change. @param {Messenger} messenger @param {string} userId */
async function renew({ messaging, names }, userId) {
  try {
    const { display_name: name, picture } = await messaging.restApi.getUser(userId);
    learnPicture(userId, picture);
    names.learn(userId, name);
  } catch {
    // what is known stays
  }
}

/**
 * Draw the groups that both are in.
 *
 * @param {Messenger} messenger
 * @param {string} userId
 * @param {HTMLElement} place
 * @param {(act: () => unknown) => () => void} go
 */
async function showCommon(messenger, userId, place, go) {
  try {
    const query = { shared_with: userId, limit: MOST_GROUPS };
    const { groups } = await messenger.messaging.restApi.request("GET", "/api/groups", { query });
    if (groups.length === 0) return;
    const line = (/** @type {{ group_id: string, name: string }} */ { group_id: id, name }) =>
      element(
        "li",
        {},
        element("button", { type: "button", class: "person", onclick: go(() => messenger.openConversation(id)) }, avatar(id, name), element("span", { class: "name" }, element("bdi", {}, name))),
      );
    fill(place, element("h3", {}, icon("people"), texts.common), element("ul", { class: "people", "aria-label": texts.common }, ...groups.map(line)));
  } catch {
    // an older server, or none at hand: the rest is there
  }
}
