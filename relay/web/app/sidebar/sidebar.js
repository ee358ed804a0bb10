/** The sidebar: the search, the list of conversations, and the user's own name and menu. */

import { button, element, fill, icon } from "../dom.js";
import { notificationsButton } from "../notices/notifications.js";
import { createGroup, startConversation } from "../people/people.js";
import { logo } from "../way-in/sign-in.js";
import { words } from "../words.js";
import { addCommand } from "./commands.js";
import { ConversationList } from "./conversation-list.js";
import { listenForKeys } from "./keys.js";
import { OwnMenu } from "./own-menu.js";
import { places } from "./places.js";
import { SearchBox } from "./search.js";
import "./marks.js";
import "./saved.js";

/** Where the sidebar and a conversation do not fit side by side; sidebar.css has the same. */
const NARROW = matchMedia("(max-width: 700px)");

/** @import { ConversationSummary } from "../../sdk/index.js" */
/** @import { Messenger } from "../messenger.js" */

addCommand({ key: "new", label: () => words.sidebar.newConversation, icon: "new", press: (messenger) => startConversation(messenger) });
addCommand({ key: "new-group", label: () => words.sidebar.newGroup, icon: "group", press: (messenger) => createGroup(messenger) });

export class Sidebar {
  /** @type {(() => void)[]} */
  #ends = [];
  /** @type {Set<string>} the users whose status is followed */
  #followed = new Set();
  /** The conversations as they were last drawn. @type {readonly ConversationSummary[]} */
  #drawn = [];

  /** @param {Messenger} messenger */
  constructor(messenger) {
    this.messenger = messenger;
    const { store, names } = messenger;
    this.list = new ConversationList(messenger);
    this.own = new OwnMenu(messenger);
    this.places = element("ul", { class: "places" });
    this.search = new SearchBox(messenger, (searching) => {
      this.list.node.hidden = this.places.hidden = searching;
      if (!searching) this.redraw();
    });
    const begin = button(words.sidebar.newConversation, () => startConversation(messenger), { sign: icon("new"), class: "quiet" });
    const top = element("header", {}, logo(), element("h1", {}, "relay"), notificationsButton(messenger), begin);
    this.node = element(
      "section",
      { class: "sidebar", role: "navigation", "aria-label": words.sidebar.conversations },
      top,
      this.search.node,
      this.search.below,
      this.places,
      this.list.node,
      this.own.node,
    );
    this.#ends.push(
      store.subscribe("conversations", () => this.#changed()),
      () => NARROW.removeEventListener("change", this.#takeRole),
      names.onChange(() => this.redraw()),
      listenForKeys(messenger),
      () => this.list.close(),
      () => this.search.close(),
      () => this.own.close(),
    );
    NARROW.addEventListener("change", this.#takeRole);
    this.redraw();
  }

  /** @param {string} id the conversation that is open */
  mark(id) {
    this.list.mark(id);
    this.#takeRole();
  }

  /** On a phone the list is what the page is about while no conversation is open. */
  #takeRole = () => {
    const { open, main } = this.messenger;
    const isMain = NARROW.matches && !open && !main?.querySelector(".empty-place > h2");
    this.node.setAttribute("role", isMain ? "main" : "navigation");
  };

  close() {
    for (const end of this.#ends.splice(0)) end();
  }

  /** Most changes of a conversation, such as an older page of it, change no line of the list. */
  #changed() {
    if (this.messenger.store.conversations === this.#drawn) this.#drawPlaces();
    else this.redraw();
  }

  /** Draw what changed: in the store, among names, or in what a place counts. */
  redraw() {
    this.#drawn = this.messenger.store.conversations;
    this.#follow(this.#drawn);
    this.#drawPlaces();
    this.#takeRole();
    if (!this.list.node.hidden) this.list.show();
  }

  #drawPlaces() {
    const drawn = places(this.messenger).map((place) => ({ place, count: place.count?.(this.messenger.store) ?? 0 }));
    const shown = drawn.map(({ place, count }) => `${place.key} ${count}`).join();
    if (this.places.dataset.shown === shown) return;
    this.places.dataset.shown = shown;
    const lines = drawn.map(({ place: { label, icon: sign, press }, count }) =>
      element(
        "li",
        {},
        element(
          "button",
          { type: "button", class: "place", onclick: () => press(this.messenger) },
          icon(sign),
          element("span", { class: "name" }, label()),
          count > 0 && element("span", { class: "badge" }, String(count)),
        ),
      ),
    );
    fill(this.places, ...lines);
  }

  /** Follow the status of everybody in the list. @param {readonly ConversationSummary[]} conversations */
  #follow(conversations) {
    const { store, messaging, session } = this.messenger;
    const people = conversations
      .filter(({ kind, target }) => kind === "user" && target !== session.userId && !this.#followed.has(target))
      .map(({ target }) => target);
    if (people.length === 0) return;
    for (const id of people) {
      this.#followed.add(id);
      this.#ends.push(store.subscribe(`presence:${id}`, () => this.redraw()));
    }
    this.#ends.push(messaging.subscribeToUserStatus(people));
  }
}
