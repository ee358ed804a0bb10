/** A cache of the views that an application draws: made when asked for, and the same object until something in it changes. */

import { Conversation } from "./conversation.js";
import { CONVERSATION } from "./latest.js";
import { EVERYBODY, SELF } from "./mirror.js";
import { unsentView, gapsOf, keyOf, messageView, shownSeqs } from "./views.js";

/**
 * @import { LatestView } from "./latest.js"
 * @import { Mirror } from "./mirror.js"
 * @import { OptimisticUpdates, Outgoing } from "./optimistic.js"
 * @import { Typing } from "./presence.js"
 * @import { Streams } from "./streams.js"
 * @import { Facts, MessageView } from "./views.js"
 */

/**
 * A row in the list of conversations.
 *
 * @typedef {object} ConversationSummary
 * @property {string} target the other user, or the group
 * @property {import("../types.js").ConversationKind | null} kind null until the server has told
 * @property {string} name
 * @property {import("../types.js").Role | null} role
 * @property {MessageView | null} lastMessage
 * @property {number} unread
 * @property {number} unreadMentions
 * @property {number} readSeq the seq up to which it is read
 * @property {number} lastSeq
 * @property {Readonly<Record<string, { read: number, delivered: number }>>} receipts how far others have received and read it, by user
 * @property {readonly string[]} typing the users who type
 * @property {EndView | null} over how it ended: only of a group that this user is no longer in
 */

/**
 * @typedef {object} EndView
 * @property {"member_removed" | "deleted"} event
 * @property {string} by who did it; the user themself if they left
 * @property {number} timestamp Unix seconds
 */

/**
 * @typedef {ConversationSummary & {
 *   messages: readonly MessageView[], hasOlder: boolean, gaps: readonly { fromSeq: number, toSeq: number }[],
 *   whispers: readonly LatestView[],
 * }} ConversationView whispers: what only this user sees, and is about no message
 */

/**
 * @typedef {object} ViewSource a State
 * @property {string} userId
 * @property {Mirror} mirror
 * @property {OptimisticUpdates} optimistic
 * @property {Typing} typing
 * @property {Streams} streams
 * @property {ReadonlyMap<string, Facts>} facts
 * @property {ReadonlySet<string>} complete conversations of which nothing older is left to load
 * @property {(key: string) => number | null} oldestSeq
 */

/**
 * @typedef {object} CachedViews the views of one conversation
 * @property {Conversation} conversation
 * @property {Map<string, MessageView>} messages
 * @property {ConversationSummary | null} summary
 * @property {ConversationView | null} view
 */

export class ViewCache {
  /** @type {Map<string, CachedViews>} */
  #cache = new Map();
  /** @type {readonly ConversationSummary[] | null} */
  #list = null;
  #source;

  /** @param {ViewSource} source */
  constructor(source) {
    this.#source = source;
  }

  /**
   * Note that a conversation changed; the views of its unchanged messages stay.
   *
   * @param {string} key
   */
  changed(key) {
    const cached = this.#cache.get(key);
    if (!this.#source.mirror.conversations.has(key)) this.#cache.delete(key);
    else if (cached) cached.view = cached.summary = null;
    this.#list = null;
  }

  /** Note that a streamed message of a conversation grew, or is over: no summary shows one. @param {string} key */
  streamed(key) {
    const cached = this.#cache.get(key);
    if (cached) cached.view = null;
  }

  /**
   * Note that a message changed.
   *
   * @param {string} key
   * @param {string} name the message's own key
   */
  changedMessage(key, name) {
    this.#cache.get(key)?.messages.delete(name);
  }

  /** The conversations, the one with the newest message first: newest by its message id, as clocks may step. */
  get conversations() {
    if (this.#list) return this.#list;
    const { optimistic, mirror } = this.#source;
    // Unsent messages to a group that is over stay visible, so that they can be discarded.
    const known = new Set([...mirror.conversations.keys(), ...optimistic.messages.keys()]);
    const keys = [...known].filter((key) => this.#isListed(key));
    const rows = keys.map((key) => ({ summary: this.summary(key), place: this.#placeOf(key) }));
    rows.sort((one, other) => byPlace(one.place, other.place) || (one.summary.target < other.summary.target ? -1 : 1));
    return (this.#list = Object.freeze(rows.map(({ summary }) => summary)));
  }

  /**
   * Return a conversation's place among the others: the message id of its newest message, and among unsent messages the
   * order in which they were written.
   *
   * @param {string} key
   * @returns {[number, number]}
   */
  #placeOf(key) {
    const { lastMessage } = this.summary(key);
    if (!lastMessage || lastMessage.messageId !== null) return [lastMessage?.messageId ?? 0, 0];
    const { conversation } = this.#cached(key);
    const newest = conversation.messages.get(shownSeqs(conversation, { partial: true }).at(-1) ?? 0);
    const [written, turn] = this.#source.optimistic.placeOf(key);
    return [Math.max(written, newest?.messageId ?? 0), turn];
  }

  /** @param {string} key @returns {ConversationSummary} */
  summary(key) {
    const cached = this.#cached(key);
    if (cached.summary) return cached.summary;
    const { conversation } = cached;
    const { kind = null, name = key, role = null } = this.#source.facts.get(key) ?? {};
    const { messages: unread, mentions: unreadMentions } = conversation.unread.count;
    const unsent = [...(this.#source.optimistic.messages.get(key)?.values() ?? [])].at(-1);
    const newest = shownSeqs(conversation, { partial: true }).at(-1);
    const lastMessage = unsent ? this.#unsent(cached, key, unsent) : newest === undefined ? null : this.#message(cached, key, newest);
    const receipts = Object.freeze(Object.fromEntries(conversation.receipts));
    return (cached.summary = Object.freeze({
      target: key, kind, name, role, lastMessage, unread, unreadMentions, receipts,
      readSeq: conversation.unread.readSeq,
      lastSeq: Math.max(conversation.lastSeq, conversation.unread.rowSeq),
      typing: this.#source.typing.view(key),
      over: this.#end(key),
    }));
  }

  /** @param {string} key @returns {ConversationView} */
  view(key) {
    const cached = this.#cached(key);
    if (cached.view) return cached.view;
    const { conversation } = cached;
    const unsent = [...(this.#source.optimistic.messages.get(key)?.values() ?? [])].map((sent) => this.#unsent(cached, key, sent));
    const stored = shownSeqs(conversation).map((seq) => this.#message(cached, key, seq));
    const messages = [...stored, ...this.#source.streams.views(key), ...unsent];
    cached.messages = new Map([...stored, ...unsent].map((message) => [message.key, message]));
    const oldest = this.#source.oldestSeq(key);
    const hasOlder = !this.#source.complete.has(key) && (oldest === null ? conversation.unread.rowSeq > 0 : oldest > 1);
    return (cached.view = Object.freeze({
      ...this.summary(key), messages: Object.freeze(messages), hasOlder, gaps: Object.freeze(gapsOf(conversation)),
      whispers: conversation.latest.of(CONVERSATION),
    }));
  }

  /** @param {string} key @returns {EndView | null} */
  #end(key) {
    const end = this.#source.mirror.endOf(key);
    if (!end) return null;
    const { payload, meta } = end;
    return Object.freeze({ event: payload.event, by: meta.sender_id ?? "", timestamp: meta.timestamp ?? 0 });
  }

  /** @param {string} key */
  #isListed(key) {
    if (key === SELF || key === EVERYBODY) return false;
    const hasMessages = (this.#source.mirror.conversations.get(key)?.messages.size ?? 0) > 0 || this.#source.optimistic.messages.has(key);
    return hasMessages || (this.#source.facts.get(key)?.kind ?? null) !== null;
  }

  /** @param {string} key @returns {CachedViews} */
  #cached(key) {
    const conversation = this.#source.mirror.conversations.get(key) ?? new Conversation(this.#source.userId, new Set(), () => {});
    let cached = this.#cache.get(key);
    const same = cached && (cached.conversation === conversation || !this.#source.mirror.conversations.has(key));
    if (!cached || !same) {
      cached = { conversation, messages: new Map(), summary: null, view: null };
      this.#cache.set(key, cached);
    }
    return cached;
  }

  /** @param {CachedViews} cached @param {string} key @param {number} seq */
  #message({ conversation, messages }, key, seq) {
    const message = /** @type {import("./message.js").Message} */ (conversation.messages.get(seq));
    const name = keyOf(message, this.#source.userId);
    const view = messages.get(name) ?? messageView(key, conversation, message, this.#source.optimistic);
    messages.set(name, view);
    return view;
  }

  /** @param {CachedViews} cached @param {string} key @param {Outgoing} sent */
  #unsent({ messages }, key, sent) {
    const view = messages.get(`i:${sent.id}`) ?? unsentView(key, this.#source.userId, sent);
    messages.set(view.key, view);
    return view;
  }
}

/**
 * Compare two places for a sort: negative where the first one comes earlier in the list.
 *
 * @param {[number, number]} one
 * @param {[number, number]} other
 */
function byPlace([one, oneTurn], [other, otherTurn]) {
  return one === other ? otherTurn - oneTurn : other > one ? 1 : -1;
}
