/** The threads that one follows, the one with the newest reply first: where they are, how they began, what is unread. */

import { hashOfThread } from "../address.js";
import { button, element, fill, openDialog } from "../dom.js";
import { direction, upright } from "../format.js";
import { quoteLine } from "../people/avatar.js";
import { problem } from "../problems.js";
import { gist } from "../texts.js";
import { counted, NUMBER, words } from "../words.js";
import { timeOf } from "./thread-line.js";

/** @import { Messenger } from "../messenger.js" */
/** @import { FollowedThread } from "../../sdk/store/thread-actions.js" */

/** Open the list. @param {Messenger} messenger */
export function openInbox(messenger) {
  const { names, store } = messenger;
  const list = element("ul", { class: "threads" });
  const note = element("p", { class: "note", role: "status" });
  const more = button(words.threads.more, () => void load({ more: true }), { class: "link", hidden: true });
  const dialog = openDialog(words.threads.threads, list, note, more);
  dialog.classList.add("threads-dialog");
  /** @param {{ more?: boolean }} [options] */
  const load = async (options) => {
    try {
      await store.threads.loadFollowed(options);
      draw();
    } catch (error) {
      fill(note, problem(error));
    }
  };
  const draw = () => {
    const { hasMore, loaded, threads } = store.threads.followed;
    const focused = /** @type {HTMLElement | null} */ (document.activeElement)?.dataset.thread;
    fill(list, ...threads.map((one) => drawThread(one, messenger, () => dialog.close())));
    fill(note, loaded && threads.length === 0 ? words.threads.empty : loaded ? "" : words.threads.loading);
    more.hidden = !hasMore;
    if (focused) /** @type {HTMLElement | null} */ (list.querySelector(`[data-thread="${focused}"]`))?.focus();
  };
  const ends = [store.subscribe("threads", draw), names.onChange(draw)];
  dialog.addEventListener("close", () => ends.forEach((end) => end()));
  draw();
  void load();
}

/** @param {FollowedThread} followed @param {Messenger} messenger @param {() => void} chosen */
function drawThread({ conversation, root, thread }, { names, store }, chosen) {
  const text = gist(/** @type {any} */ (root), names);
  const place = names.title(store.conversation(conversation));
  const said = element("span", { class: "said", dir: direction(text) }, ...quoteLine(upright(names.of(root.senderId)), text));
  const replies = counted(thread.replies, words.threads.replies);
  const unread = thread.unread > 0 && element("b", { class: thread.mentions > 0 ? "count mention" : "count", "aria-label": counted(thread.unread, words.threads.unread) }, NUMBER.format(thread.unread));
  return element(
    "li",
    { class: thread.unread > 0 ? "unread" : null },
    element(
      "a",
      { href: hashOfThread(conversation, thread.rootId), onclick: chosen, "data-thread": String(thread.rootId) },
      element("span", { class: "where" }, element("bdi", {}, place)),
      element("time", {}, timeOf(thread.lastAt)),
      said,
      element("span", { class: "replies" }, replies),
      unread,
    ),
  );
}
