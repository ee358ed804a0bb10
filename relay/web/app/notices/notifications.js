/** Notifications: those to this user and those to everybody, in one dialog. */

import { drawActions } from "../conversation/actions.js";
import { button, element, fill, icon, openDialog } from "../dom.js";
import { shortly, upright, wholeTime } from "../format.js";
import { gist } from "../texts.js";
import { words } from "../words.js";

/** @import { MessageView } from "../../sdk/index.js" */
/** @import { Messenger } from "../messenger.js" */

/**
 * Return the button that opens the dialog. It is visible once there is a notification, and shows the unread count.
 *
 * @param {Messenger} messenger
 */
export function notificationsButton(messenger) {
  const { store } = messenger;
  const sign = icon("bell");
  const open = button(words.notices.notifications, () => showNotifications(messenger), { sign, class: "quiet bell" });
  const changed = () => {
    const { messages, unread } = store.notifications;
    open.hidden = messages.length === 0;
    open.setAttribute("aria-label", unread > 0 ? words.notices.unreadNotifications(String(unread)) : words.notices.notifications);
    fill(open, sign, unread > 0 && element("span", { class: "badge" }, String(unread)));
  };
  store.subscribe("notifications", changed);
  changed();
  return open;
}

/** @param {Messenger} messenger */
function showNotifications(messenger) {
  const { store, names, failed } = messenger;
  const list = element("ol", { class: "told-so-far" });
  const older = button(words.notices.olderOnes, () => store.loadOlderNotifications().catch(failed), { class: "link" });
  const draw = () => {
    const { messages, hasOlder } = store.notifications;
    fill(list, ...messages.toReversed().map((message) => drawNotification(message, messenger)));
    older.hidden = !hasOlder;
    store.markNotificationsRead();
  };
  const dialog = openDialog(words.notices.notifications, element("div", {}, list, older));
  dialog.addEventListener("close", store.subscribe("notifications", draw));
  dialog.addEventListener("close", names.onChange(draw));
  draw();
}

/** @param {MessageView} message of any type that is stored without a conversation @param {Messenger} messenger */
function drawNotification(message, messenger) {
  const { payload, timestamp, deletedAt, type } = message;
  const at = element("time", { title: wholeTime(timestamp) }, shortly(timestamp));
  if (deletedAt !== null) return element("li", { class: "deleted" }, words.notices.takenBack, at);
  return element(
    "li",
    { class: type === "notification" && payload.level },
    at,
    element("strong", { dir: "auto" }, upright(type === "notification" ? payload.title : gist(message, messenger.names))),
    type === "notification" && payload.body && element("p", { dir: "auto" }, upright(payload.body)),
    ...drawActions(message, messenger, null),
  );
}
