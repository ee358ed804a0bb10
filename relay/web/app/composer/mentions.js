/** Mentions while a message is written: who may be meant by `@`, and which users a text mentions. */

import { avatar } from "../people/avatar.js";
import { element } from "../dom.js";
import { may } from "../groups/may.js";
import { words } from "../words.js";

/** @import { ConversationPane } from "../conversation/conversation.js" */
/** @import { Choice, Source } from "./completion.js" */

const ALL = "all";
const MOST = 8;
/** As the server has it: at most so many users are mentioned by one message. */
const MAX_MENTIONS = 50;
const WORD = /(?:^|[\s([{"'«“‘,;:!?>*_~|/-])(@[\p{L}\p{N}_.+@-]*)$/u;
const MENTION = /(^|[^\p{L}\p{N}_.+@-])@([\w.+@-]+)/gu;

/**
 * Return the users that a text mentions, each once. The text holds `@user_id`; what is no member's id is only text.
 *
 * @param {string} text
 * @param {Iterable<string>} members those who may be mentioned
 * @param {boolean} group whether `@all` means all of them
 */
export function mentionsIn(text, members, group) {
  const known = new Set(members);
  const found = new Set();
  for (const [, , word] of text.matchAll(MENTION)) {
    // The end of a sentence is no part of an id, unless there is such an id.
    for (let id = word; id; id = id.slice(0, -1)) {
      if (known.has(id)) found.add(id);
      else if (group && id === ALL) found.add("*");
      if (known.has(id) || id === ALL || /\w$/.test(id)) break;
    }
  }
  return [...found].slice(0, MAX_MENTIONS);
}

/** Who may be mentioned in a conversation, and their completion. */
export class Mentions {
  /** @type {Promise<unknown> | null} */
  #loading = null;
  /** @type {string[]} */
  #members = [];
  /** The newest event of the group that the members were loaded after. */
  #event = -1;

  /** @param {ConversationPane} pane */
  constructor(pane) {
    this.pane = pane;
    /** @type {Source} */
    this.source = {
      label: words.composer.people,
      word: WORD,
      choices: (word) => this.#choices(word.slice(1)),
      load: () => this.load(),
    };
  }

  /** @param {string} text */
  of(text) {
    return mentionsIn(text, this.#people, this.pane.isGroup);
  }

  /** Load a group's members, where they may have changed since. */
  async load() {
    const { id, isGroup, messaging, view } = this.pane;
    if (!isGroup) return;
    const event = view.messages.findLast(({ type }) => type === "group_event")?.messageId ?? 0;
    if (event === this.#event) return this.#loading;
    this.#event = event;
    this.#loading = messaging.restApi.getGroup(id).then(
      ({ members }) => (this.#members = members.map(({ user_id }) => user_id)),
      (error) => {
        this.#event = -1; // the next `@` tries again
        throw error;
      },
    );
    return this.#loading;
  }

  get #people() {
    const { id, isGroup, messenger, view } = this.pane;
    if (!isGroup) return [id, messenger.session.userId];
    // Without a network there are those who said something.
    if (this.#members.length === 0) return [...new Set(view.messages.map(({ senderId }) => senderId))].filter(Boolean);
    return this.#members;
  }

  /** @param {string} wanted @returns {Choice[]} */
  #choices(wanted) {
    const { isGroup, messenger, names } = this.pane;
    const own = messenger.session.userId;
    const found = this.#people
      .map((userId) => ({ userId, name: names.of(userId), rank: rankOf(wanted, userId, names.of(userId)) + (userId === own ? 0.5 : 0) }))
      .filter(({ rank }) => rank < Infinity)
      .sort((one, other) => one.rank - other.rank || one.name.localeCompare(other.name))
      .slice(0, MOST)
      .map(({ userId, name }) => ({ text: `@${userId} `, shown: [avatar(userId, name), named(name, `@${userId}`)] }));
    if (!isGroup || !may(this.pane.view, "mention_all") || !ALL.startsWith(plain(wanted))) return found;
    const everybody = { text: `@${ALL} `, shown: [element("span", { class: "sign", "aria-hidden": "true" }, "@"), named(`@${ALL}`, words.composer.everybody)] };
    return wanted ? [everybody, ...found] : [...found, everybody];
  }
}

/** @param {string} name @param {string} note */
function named(name, note) {
  return element("span", { class: "what" }, element("strong", { dir: "auto" }, name), " ", element("span", { class: "note" }, element("bdi", {}, note)));
}

/** Return how well a person fits, less for better; Infinity for one who does not. @param {string} wanted @param {string} userId @param {string} name */
function rankOf(wanted, userId, name) {
  const [sought, id, shown] = [plain(wanted), plain(userId), plain(name)];
  if (id.startsWith(sought) || shown.startsWith(sought)) return 0;
  return shown.split(/[^\p{L}\p{N}]+/u).some((word) => word.startsWith(sought)) ? 1 : Infinity;
}

/** @param {string} text */
function plain(text) {
  return text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
}
