/**
 * What an application draws of the store, made when it is asked for. A view stays the same object until something of it
 * changes.
 */

import { Conversation } from "./conversation.js";
import { EVERYBODY, SELF } from "./mirror.js";
import { echoView, gapsOf, keyOf, messageView, shownSeqs } from "./views.js";

/**
 * @import { Outgoing } from "./optimistic.js"
 * @import { State } from "./state.js"
 * @import { MessageView } from "./views.js"
 */

/**
 * A line in the list of conversations.
 *
 * @typedef {object} ConversationSummary
 * @property {string} target the other user, or the group
 * @property {import("../types.js").ConversationKind | null} kind null until the server has said
 * @property {string} name
 * @property {import("../types.js").Role | null} role
 * @property {MessageView | null} lastMessage
 * @property {number} unread
 * @property {number} unreadMentions
 * @property {number} readSeq up to where it is read
 * @property {number} lastSeq
 * @property {Readonly<Record<string, { read: number, delivered: number }>>} receipts up to where others have read it
 * @property {readonly string[]} typing who types
 * @property {EndView | null} over how it ended: of a group that this user is in no longer, and of nothing else
 */

/**
 * @typedef {object} EndView
 * @property {"member_removed" | "deleted"} event
 * @property {string} by who did that: for `member_removed` the user themself, if they left
 * @property {number} timestamp Unix seconds
 */

/**
 * @typedef {ConversationSummary & {
 *   messages: readonly MessageView[], hasOlder: boolean, gaps: readonly { fromSeq: number, toSeq: number }[],
 * }} ConversationView
 */

/**
 * @typedef {object} Shelf the views of one conversation
 * @property {Conversation} conversation
 * @property {Map<string, MessageView>} messages
 * @property {ConversationSummary | null} summary
 * @property {ConversationView | null} view
 */

export class Shelves {
  /** @type {Map<string, Shelf>} */
  #shelves = new Map();
  /** @type {readonly ConversationSummary[] | null} */
  #list = null;
  #held;

  /** @param {State} held */
  constructor(held) {
    this.#held = held;
  }

  /**
   * Note that a conversation is to be drawn anew, with what did not change of it.
   *
   * @param {string} key
   */
  changed(key) {
    const shelf = this.#shelves.get(key);
    if (!this.#held.mirror.conversations.has(key)) this.#shelves.delete(key);
    else if (shelf) shelf.view = shelf.summary = null;
    this.#list = null;
  }

  /**
   * Note that a message is to be drawn anew.
   *
   * @param {string} key
   * @param {string} name the message's own key
   */
  changedMessage(key, name) {
    this.#shelves.get(key)?.messages.delete(name);
  }

  /** The conversations, the one with the newest message first: newest by its position, as a clock may step. */
  get conversations() {
    if (this.#list) return this.#list;
    const { echoes, mirror } = this.#held;
    // What was written to a group that is over is still to be seen, to be taken back.
    const known = new Set([...mirror.conversations.keys(), ...echoes.messages.keys()]);
    const keys = [...known].filter((key) => this.#isListed(key));
    const lines = keys.map((key) => ({ summary: this.summary(key), place: this.#placeOf(key) }));
    lines.sort((one, other) => byPlace(one.place, other.place) || (one.summary.target < other.summary.target ? -1 : 1));
    return (this.#list = Object.freeze(lines.map(({ summary }) => summary)));
  }

  /**
   * Return where a conversation stands among the others: by the position of its newest message. Times are only shown.
   *
   * @param {string} key
   * @returns {[number, number]}
   */
  #placeOf(key) {
    const { lastMessage } = this.summary(key);
    if (!lastMessage || lastMessage.messageId !== null) return [lastMessage?.messageId ?? 0, 0];
    const { conversation } = this.#shelf(key);
    const newest = conversation.messages.get(shownSeqs(conversation, { partial: true }).at(-1) ?? 0);
    const [written, turn] = this.#held.echoes.placeOf(key);
    return [Math.max(written, newest?.messageId ?? 0), turn];
  }

  /** @param {string} key @returns {ConversationSummary} */
  summary(key) {
    const shelf = this.#shelf(key);
    if (shelf.summary) return shelf.summary;
    const { conversation } = shelf;
    const { kind = null, name = key, role = null } = this.#held.facts.get(key) ?? {};
    const { messages: unread, mentions: unreadMentions } = conversation.unread.count;
    const echo = [...(this.#held.echoes.messages.get(key)?.values() ?? [])].at(-1);
    const newest = shownSeqs(conversation, { partial: true }).at(-1);
    const lastMessage = echo ? this.#echo(shelf, key, echo) : newest === undefined ? null : this.#message(shelf, key, newest);
    const receipts = Object.freeze(Object.fromEntries(conversation.receipts));
    return (shelf.summary = Object.freeze({
      target: key, kind, name, role, lastMessage, unread, unreadMentions, receipts,
      readSeq: conversation.unread.readSeq,
      lastSeq: Math.max(conversation.lastSeq, conversation.unread.rowSeq),
      typing: this.#held.typing.view(key),
      over: this.#end(key),
    }));
  }

  /** @param {string} key @returns {ConversationView} */
  view(key) {
    const shelf = this.#shelf(key);
    if (shelf.view) return shelf.view;
    const { conversation } = shelf;
    const echoes = [...(this.#held.echoes.messages.get(key)?.values() ?? [])].map((sent) => this.#echo(shelf, key, sent));
    const messages = [...shownSeqs(conversation).map((seq) => this.#message(shelf, key, seq)), ...echoes];
    shelf.messages = new Map(messages.map((message) => [message.key, message]));
    const oldest = this.#held.oldestSeq(key);
    const hasOlder = !this.#held.complete.has(key) && (oldest === null ? conversation.unread.rowSeq > 0 : oldest > 1);
    return (shelf.view = Object.freeze({
      ...this.summary(key), messages: Object.freeze(messages), hasOlder, gaps: Object.freeze(gapsOf(conversation)),
    }));
  }

  /** @param {string} key @returns {EndView | null} */
  #end(key) {
    const end = this.#held.mirror.endOf(key);
    if (!end) return null;
    const { payload, meta } = end;
    return Object.freeze({ event: payload.event, by: meta.sender_id ?? "", timestamp: meta.timestamp ?? 0 });
  }

  /** @param {string} key */
  #isListed(key) {
    if (key === SELF || key === EVERYBODY) return false;
    const says = (this.#held.mirror.conversations.get(key)?.messages.size ?? 0) > 0 || this.#held.echoes.messages.has(key);
    return says || (this.#held.facts.get(key)?.kind ?? null) !== null;
  }

  /** @param {string} key @returns {Shelf} */
  #shelf(key) {
    const conversation = this.#held.mirror.conversations.get(key) ?? new Conversation(this.#held.userId, new Set(), () => {});
    let shelf = this.#shelves.get(key);
    const same = shelf && (shelf.conversation === conversation || !this.#held.mirror.conversations.has(key));
    if (!shelf || !same) {
      shelf = { conversation, messages: new Map(), summary: null, view: null };
      this.#shelves.set(key, shelf);
    }
    return shelf;
  }

  /** @param {Shelf} shelf @param {string} key @param {number} seq */
  #message({ conversation, messages }, key, seq) {
    const message = /** @type {import("./message.js").Message} */ (conversation.messages.get(seq));
    const name = keyOf(message, this.#held.userId);
    const view = messages.get(name) ?? messageView(key, conversation, message, this.#held.echoes);
    messages.set(name, view);
    return view;
  }

  /** @param {Shelf} shelf @param {string} key @param {Outgoing} sent */
  #echo({ messages }, key, sent) {
    const view = messages.get(`i:${sent.id}`) ?? echoView(key, this.#held.userId, sent);
    messages.set(view.key, view);
    return view;
  }
}

/**
 * Return what a sort wants to hear of two places: negative where the first one comes before the other in the list.
 *
 * @param {[number, number]} one
 * @param {[number, number]} other
 */
function byPlace([one, oneTurn], [other, otherTurn]) {
  return one === other ? otherTurn - oneTurn : other > one ? 1 : -1;
}
