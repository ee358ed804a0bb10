/** Threads on the page: what opens one, in an address of its own, and the actions of messages that lead to it. */

import { hashOf, hashOfThread, readHash } from "../address.js";
import { addMessageAction } from "../conversation/message-actions.js";
import { may } from "../groups/may.js";
import { addPlace } from "../sidebar/places.js";
import { addCommand } from "../sidebar/commands.js";
import { isEvent } from "../texts.js";
import { words } from "../words.js";
import { openInbox } from "./inbox.js";
import { ThreadPane } from "./thread-pane.js";
import "./pins.js";

/** @import { ConversationPane } from "../conversation/conversation.js" */
/** @import { MessageView } from "../../sdk/index.js" */

/**
 * Open a thread beside its conversation.
 *
 * @param {{ id: string }} pane
 * @param {number} rootId
 */
export function openThread({ id }, rootId) {
  const address = hashOfThread(id, rootId);
  if (location.hash !== address) location.hash = address;
}

/**
 * Open the thread of a reply that only its thread shows, in place of the reply's own address: going back leads to where one was.
 *
 * @param {{ id: string }} pane
 * @param {number} rootId
 * @param {number} seq the reply's
 */
export function openReply({ id }, rootId, seq) {
  location.replace(hashOfThread(id, rootId, seq));
}

/**
 * Show the thread that the address names beside a conversation, and no other, until the returned function is called.
 *
 * @param {ConversationPane} pane
 */
export function followAddress(pane) {
  /** @type {ThreadPane | null} */
  let open = null;
  const left = () => {
    const { id, thread } = readHash(location.hash);
    if (open && id === pane.id && thread === open.thread) history.pushState(null, "", hashOf(pane.id));
    open = null;
  };
  const moved = () => {
    const { id, thread, reply } = readHash(location.hash);
    if (id !== pane.id) return;
    if (thread === (open?.thread ?? null)) return reply === null ? undefined : void open?.goTo(reply);
    if (thread === null) return pane.side.close();
    const next = new ThreadPane(pane, thread, left);
    open = null; // the one before goes without leaving the address
    pane.side.open(next);
    open = next;
    next.begin(reply);
  };
  addEventListener("hashchange", moved);
  queueMicrotask(moved);
  return () => {
    open = null;
    removeEventListener("hashchange", moved);
  };
}

/** Tell whether a message may have a thread: a reply in one has none. @param {MessageView} message @param {{ view: { over: unknown, may?: readonly string[] } }} pane */
function mayBegin(message, { view }) {
  const { messageId, deletedAt, payload, state } = message;
  return messageId !== null && deletedAt === null && state !== "streaming" && !isEvent(message) && payload.thread === undefined && !view.over && may(view, "thread");
}

addMessageAction({
  key: "thread",
  order: 25,
  letter: "t",
  label: words.threads.reply,
  icon: "thread",
  shown: (message, pane) => mayBegin(message, pane) && /** @type {any} */ (pane).thread === undefined,
  press: ({ messageId }, pane) => messageId !== null && openThread(pane, messageId),
});
addPlace({
  key: "threads",
  order: 10,
  label: () => words.threads.threads,
  icon: "thread",
  count: (store) => store.threads.followed.unread,
  press: (messenger) => openInbox(messenger),
});
addCommand({ key: "threads", label: () => words.threads.threads, icon: "thread", menu: 35, press: (messenger) => openInbox(messenger) });
