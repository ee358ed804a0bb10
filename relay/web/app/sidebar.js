/** All conversations, what is found in them, and oneself. */

import { button, element, fill, icon, KeyedList } from "./dom.js";
import { hue, initials, shortly, wholeTime } from "./format.js";
import { notificationsButton } from "./notifications.js";
import { startConversation } from "./people.js";
import { SearchBox } from "./search.js";
import { logo } from "./sign-in.js";
import { preview, statusText } from "./texts.js";

/** @import { ConversationSummary } from "../sdk/index.js" */
/** @import { Presence } from "../sdk/types.js" */
/** @import { Messenger } from "./messenger.js" */

/** @typedef {{ summary: ConversationSummary, name: string, text: string, status: Presence, open: boolean }} Line */

export class Sidebar {
  /** @type {(() => void)[]} */
  #ends = [];
  /** @type {Set<string>} whose statuses are asked for */
  #followed = new Set();
  #open = "";

  /** @param {Messenger} messenger */
  constructor(messenger) {
    this.messenger = messenger;
    const { store, names } = messenger;
    const list = element("ul", { class: "conversations" });
    this.list = new KeyedList(list, { key: (line) => line.summary.target, same: isSame, draw: drawLine });
    this.me = element("footer", { class: "me" });
    const begin = button("New conversation", () => startConversation(messenger), { sign: icon("new"), class: "quiet" });
    const top = element("header", {}, logo(), element("h1", {}, "relay"), notificationsButton(messenger), begin);
    this.node = element(
      "nav",
      { class: "sidebar", "aria-label": "Conversations" },
      top,
      new SearchBox(messenger, list).node,
      list,
      this.me,
    );
    this.#ends.push(
      store.subscribe("conversations", () => this.#changed()),
      store.subscribe("me", () => this.#changed()),
      names.onChange(() => this.#changed()),
    );
    this.#changed();
  }

  /** @param {string} id the conversation that is open */
  mark(id) {
    this.#open = id;
    this.#changed();
  }

  close() {
    for (const end of this.#ends) end();
  }

  #changed() {
    const { store, names } = this.messenger;
    this.#follow(store.conversations);
    this.list.show(
      store.conversations.map((summary) => {
        const typing = summary.typing.length > 0;
        return {
          summary,
          name: summary.name || names.of(summary.target),
          text: typing ? "typing …" : preview(summary, names),
          status: summary.kind === "user" ? store.presence(summary.target).status : "unknown",
          open: summary.target === this.#open,
        };
      }),
    );
    if (store.me && !this.me.firstChild) this.#drawMe(store.me.display_name);
  }

  /** @param {readonly ConversationSummary[]} conversations */
  #follow(conversations) {
    const { store, messaging, session } = this.messenger;
    const people = conversations
      .filter(({ kind, target }) => kind === "user" && target !== session.userId && !this.#followed.has(target))
      .map(({ target }) => target);
    if (people.length === 0) return;
    for (const id of people) {
      this.#followed.add(id);
      this.#ends.push(store.subscribe(`presence:${id}`, () => this.#changed()));
    }
    this.#ends.push(messaging.subscribeToUserStatus(people));
  }

  /** @param {string} name */
  #drawMe(name) {
    const { messenger } = this;
    const { messaging, session, store } = messenger;
    const options = [
      ["online", "Online"],
      ["away", "Away"],
      ["busy", "Busy"],
      ["offline", "Invisible"],
    ];
    const choose = () => messaging.updateStatus(/** @type {Presence} */ (status.value)).catch(messenger.failed);
    const status = element(
      "select",
      { "aria-label": "Your status", onchange: choose },
      ...options.map(([value, label]) => element("option", { value }, label)),
    );
    const show = () => {
      const { status: now } = store.presence(session.userId);
      if (options.some(([value]) => value === now)) status.value = now;
    };
    this.#ends.push(store.subscribe(`presence:${session.userId}`, show));
    const about = element("div", { class: "about" }, element("strong", {}, name), status);
    fill(
      this.me,
      avatar(session.userId, name),
      about,
      button("Sign out", () => void messenger.signOut(), { class: "link" }),
    );
    show();
  }
}

/**
 * @param {string} id
 * @param {string} name
 * @param {Presence} [status]
 */
export function avatar(id, name, status = "unknown") {
  const dot = status !== "unknown" && element("i", { class: `dot ${status}` });
  return element("span", { class: `avatar ${hue(id)}`, "aria-hidden": "true" }, initials(name), dot);
}

/** @param {Line} line */
function drawLine({ summary, name, text, status, open }) {
  const { target: id, lastMessage, unread, unreadMentions } = summary;
  const at =
    lastMessage && element("time", { title: wholeTime(lastMessage.timestamp) }, shortly(lastMessage.timestamp));
  const badge =
    unread > 0 &&
    element(
      "span",
      { class: unreadMentions ? "badge mention" : "badge" },
      String(unread),
      element("span", { class: "hidden" }, " unread"),
    );
  const spoken =
    status !== "unknown" &&
    element("span", { class: "hidden" }, statusText({ userId: id, status, text: null, until: null, lastSeen: null }));
  const link = element(
    "a",
    { href: `#/${encodeURIComponent(id)}`, "aria-current": open && "page" },
    avatar(id, name, status),
    element("strong", {}, name),
    spoken,
    at,
    element("span", { class: "gist" }, text),
    badge,
  );
  return element("li", {}, link);
}

/** @param {Line} one @param {Line} other */
function isSame(one, other) {
  return /** @type {(keyof Line)[]} */ (Object.keys(one)).every((key) => one[key] === other[key]);
}
