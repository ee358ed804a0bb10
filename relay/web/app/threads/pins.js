/** Pinned messages: who may pin, the action of messages, and the list of all that are pinned in a conversation. */

import { addMenuEntry } from "../conversation/menu.js";
import { addMessageAction } from "../conversation/message-actions.js";
import { button, element, fill, icon, openDialog } from "../dom.js";
import { direction, isolate } from "../format.js";
import { may } from "../groups/may.js";
import { quoteLine } from "../people/avatar.js";
import { problem } from "../problems.js";
import { gist, isEvent } from "../texts.js";
import { words } from "../words.js";
import { timeOf } from "./thread-line.js";

/** @import { ConversationPane } from "../conversation/conversation.js" */
/** @import { Envelope } from "../../sdk/index.js" */

/** @typedef {{ message: Envelope<any>, pinned_by: string, pinned_at: number }} Pinned */

/** Tell whether this user may pin messages of a conversation. @param {{ view: { may?: readonly string[], over: unknown } }} pane */
export function mayPin({ view }) {
  return !view.over && may(view, "pin");
}

/**
 * Pin a message, or take its pin back.
 *
 * @param {Pick<ConversationPane, "id" | "messaging" | "attend">} pane
 * @param {number} messageId
 * @param {boolean} on
 */
export function pin(pane, messageId, on) {
  const sent = pane.messaging.socketManager.sendMessage("pin", { message_id: messageId, on }, pane.id);
  pane.attend(sent);
  return sent;
}

/** @param {ConversationPane} pane @returns {Promise<Pinned[]>} */
export async function loadPins({ id, messaging }) {
  return (await messaging.restApi.request("GET", `/api/pins/${encodeURIComponent(id)}`)).pins;
}

/** A message of an answer, as texts take it. @param {Envelope<any>} envelope */
export function messageOf({ type, payload, meta }) {
  return /** @type {any} */ ({
    type, payload, seq: meta.seq, messageId: meta.message_id, senderId: meta.sender_id ?? "", timestamp: meta.timestamp, deletedAt: meta.deleted_at ?? null,
  });
}

/** Open the list of a conversation's pinned messages. @param {ConversationPane} pane */
export function openPins(pane) {
  const { names, id, messenger } = pane;
  const list = element("ul", { class: "pins" });
  const note = element("p", { class: "note", role: "status" }, words.threads.loading);
  const dialog = openDialog(words.threads.pins, list, note);
  const load = () =>
    loadPins(pane).then(
      (pins) => {
        fill(list, ...pins.map(drawPin));
        fill(note, pins.length === 0 ? words.threads.noPins : "");
      },
      (error) => fill(note, problem(error)),
    );
  /** @param {Pinned} pinned */
  const drawPin = ({ message: envelope, pinned_by: by, pinned_at: at }) => {
    const message = messageOf(envelope);
    const text = gist(message, names);
    const go = () => {
      dialog.close();
      void messenger.openConversation(id, message.seq);
    };
    const said = element("span", { class: "said", dir: direction(text) }, ...quoteLine(names.of(message.senderId), text));
    const about = element("small", {}, words.threads.pinnedBy(isolate(names.of(by)), timeOf(at)));
    const drop = async () => {
      await pin(pane, message.messageId, false).catch(() => {}); // told already
      await load();
    };
    return element(
      "li",
      {},
      element("button", { type: "button", class: "go", onclick: go }, said, about),
      mayPin(pane) && button(words.threads.unpin, () => void drop(), { sign: icon("close"), class: "quiet" }),
    );
  };
  const ends = [names.onChange(() => void load())];
  dialog.addEventListener("close", () => ends.forEach((end) => end()));
  void load();
}

addMessageAction({
  key: "pin",
  order: 250,
  letter: "p",
  label: ({ pinned }) => (pinned ? words.threads.unpin : words.threads.pin),
  icon: "pin",
  shown: (message, pane) => message.messageId !== null && message.deletedAt === null && !isEvent(message) && mayPin(pane),
  press: ({ messageId, pinned }, pane) => messageId !== null && pin(pane, messageId, !pinned),
});
addMenuEntry({ id: "pins", label: words.threads.pins, icon: "pin", order: 30, press: (pane) => openPins(pane) });
