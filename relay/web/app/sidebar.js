/** The sidebar: the list of conversations, the search, and the user's own name and status. */

import { avatar, quoteLine } from "./avatar.js";
import { button, element, fill, icon, KeyedList } from "./dom.js";
import { direction, shortly, straight, wholeTime } from "./format.js";
import { notificationsButton } from "./notifications.js";
import { OwnStatus } from "./own-status.js";
import { startConversation } from "./people.js";
import { SearchBox } from "./search.js";
import { logo } from "./sign-in.js";
import { preview, statusText } from "./texts.js";

/** @import { ConversationSummary } from "../sdk/index.js" */
/** @import { Presence } from "../sdk/types.js" */
/** @import { Messenger } from "./messenger.js" */

/** @typedef {{ summary: ConversationSummary, name: string, who: string, text: string, status: Presence, open: boolean }} Line */

export class Sidebar {
  /** @type {(() => void)[]} */
  #ends = [];
  /** @type {Set<string>} the users whose status is followed */
  #followed = new Set();
  #open = "";

  /** @param {Messenger} messenger */
  constructor(messenger) {
    this.messenger = messenger;
    const { store, names } = messenger;
    const list = element("ul", { class: "conversations" });
    this.list = new KeyedList(list, { key: (line) => line.summary.target, same: isSame, draw: drawLine });
    this.me = element("footer", { class: "me" });
    this.search = new SearchBox(messenger, list);
    const begin = button("New conversation", () => startConversation(messenger), { sign: icon("new"), class: "quiet" });
    const top = element("header", {}, logo(), element("h1", {}, "relay"), notificationsButton(messenger), begin);
    this.node = element(
      "nav",
      { class: "sidebar", "aria-label": "Conversations" },
      top,
      this.search.node,
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
    for (const end of this.#ends.splice(0)) end();
    this.search.close();
  }

  #changed() {
    const { store, names } = this.messenger;
    this.#follow(store.conversations);
    this.list.show(
      store.conversations.map((summary) => {
        const [who, text] = summary.typing.length > 0 ? ["", "typing …"] : preview(summary, names);
        return {
          summary,
          name: names.title(summary),
          who,
          text,
          status: summary.kind === "user" ? store.presence(summary.target).status : "unknown",
          open: summary.target === this.#open,
        };
      }),
    );
    if (store.me && !this.me.firstChild) this.#drawMe(straight(store.me.display_name));
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
    const { session } = messenger;
    const status = new OwnStatus(messenger);
    this.#ends.push(() => status.close());
    const about = element("div", { class: "about" }, element("strong", {}, element("bdi", {}, name)), status.node);
    fill(
      this.me,
      avatar(session.userId, name),
      about,
      button("Sign out", () => void messenger.signOut(), { class: "link" }),
    );
  }
}

/** @param {Line} line */
function drawLine({ summary, name, who, text, status, open }) {
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
    element("strong", {}, element("bdi", {}, name)),
    spoken,
    at,
    element("span", { class: "gist", dir: direction(text) }, ...quoteLine(who, text)),
    badge,
  );
  return element("li", {}, link);
}

/** @param {Line} one @param {Line} other */
function isSame(one, other) {
  return /** @type {(keyof Line)[]} */ (Object.keys(one)).every((key) => one[key] === other[key]);
}
