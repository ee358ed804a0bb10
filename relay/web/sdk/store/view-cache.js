/** A cache of the views that an application draws: made when asked for, and the same object until something in it changes. */

import { Conversation } from "./conversation.js";
import { CONVERSATION } from "./latest.js";
import { marksOf } from "./marks.js";
import { EVERYBODY, SELF } from "./mirror.js";
import { isApart } from "./threads.js";
import { gapsOf, isHidden, messageView, newestShown, unsentView } from "./views.js";

/**
 * @import { DraftSummary } from "./drafts.js"
 * @import { LatestView } from "./latest.js"
 * @import { Mirror } from "./mirror.js"
 * @import { OptimisticUpdates, Outgoing } from "./optimistic.js"
 * @import { Typing } from "./presence.js"
 * @import { Streams } from "./streams.js"
 * @import { Facts } from "./facts.js"
 * @import { MessageView } from "./views.js"
 */

/**
 * A row in the list of conversations.
 *
 * @typedef {SummaryView & import("./marks.js").MarksView} ConversationSummary
 */

/**
 * @typedef {object} SummaryView a row without the user's own marks
 * @property {string} target the other user, or the group
 * @property {import("../types.js").ConversationKind | null} kind null until the server has told
 * @property {string} name
 * @property {string | null | undefined} picture the attachment that the other user or the group shows; undefined until the server has told
 * @property {import("../types.js").Role | null} role
 * @property {boolean} closed whether nobody may write in the group any more
 * @property {number} slowModeSeconds the seconds between two messages of a plain member of the group; 0 for no slow mode
 * @property {readonly string[] | undefined} may what this user may do in the group; undefined of other conversations
 * @property {MessageView | null} lastMessage
 * @property {number} unread
 * @property {number} unreadMentions
 * @property {number} readSeq the seq up to which it is read
 * @property {number} lastSeq
 * @property {Readonly<Record<string, { read: number, delivered: number }>>} receipts how far others have received and read it, by user
 * @property {readonly string[]} typing the users who type
 * @property {EndView | null} over how it ended: only of a group that this user is no longer in
 * @property {DraftSummary | null} draft what is being written there; null for neither text nor files
 */

/**
 * @typedef {object} EndView
 * @property {"member_removed" | "deleted"} event
 * @property {string} by who did it; the user themself if they left
 * @property {number} timestamp Unix seconds
 */

/**
 * @typedef {ConversationSummary & {
 *   messages: readonly MessageView[], loaded: boolean, hasOlder: boolean, gaps: readonly { fromSeq: number, toSeq: number }[],
 *   whispers: readonly LatestView[], source: "server" | "kept" | null,
 * }} ConversationView loaded: whether its newest page is; whispers: what only this user sees, and is about no message; source:
 *   whence its messages are: the server, what `persist` kept of an earlier visit, or nowhere as they are not loaded yet
 */

/**
 * A thread as a conversation of its own: its root is the first message, if it is known. Older replies that are not loaded are a gap.
 *
 * @typedef {ConversationView & {
 *   rootId: number, root: MessageView | null, thread: import("./threads.js").ThreadView | null, loaded: boolean,
 * }} ThreadPaneView loaded: whether its newest replies were asked for
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
 * @property {ReadonlySet<string>} opened conversations whose newest page was loaded
 * @property {ReadonlySet<string>} kept conversations that have messages of an earlier visit
 * @property {(key: string) => number | null} oldestSeq
 * @property {DraftSource} drafts
 */

/** @typedef {{ targets: Iterable<string>, summary: (target: string) => DraftSummary | null }} DraftSource what Drafts shows in a list */

/**
 * @typedef {object} CachedViews the views of one conversation
 * @property {Conversation} conversation
 * @property {Map<number, MessageView>} stored by seq
 * @property {Map<string, MessageView>} unsent by the sender's own id
 * @property {ConversationSummary | null} summary
 * @property {ConversationSummary | null} before the summary as it was last made
 * @property {ConversationView | null} view
 * @property {Map<number, ThreadPaneView>} threads
 */

/** So many views of messages that are not held any more may stay before they are looked for. */
const SLACK = 100;

export class ViewCache {
  /** @type {Map<string, CachedViews>} */
  #cache = new Map();
  /** @type {readonly ConversationSummary[] | null} */
  #list = null;
  /** The list as it was last made. @type {readonly ConversationSummary[]} */
  #listBefore = [];
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
    else if (cached) {
      cached.before = cached.summary ?? cached.before;
      cached.view = cached.summary = null;
      cached.threads.clear();
    }
    this.#list = null;
  }

  /** Note that a streamed message of a conversation grew, or is over: no summary shows one. @param {string} key */
  streamed(key) {
    const cached = this.#cache.get(key);
    if (cached) cached.view = null;
  }

  /** Note that a stored message changed. @param {string} key @param {number} seq */
  changedMessage(key, seq) {
    this.#cache.get(key)?.stored.delete(seq);
  }

  /** Note that a message changed that is not stored. @param {string} key @param {string} id the sender's own */
  changedUnsent(key, id) {
    this.#cache.get(key)?.unsent.delete(id);
  }

  /**
   * The conversations: those that are pinned, then the one with the newest message first: newest by its message id, as clocks
   * may step.
   */
  get conversations() {
    if (this.#list) return this.#list;
    const { optimistic, mirror } = this.#source;
    // Unsent messages to a group that is over stay visible, so that they can be discarded.
    const known = new Set([...mirror.conversations.keys(), ...optimistic.messages.keys(), ...this.#source.drafts.targets]);
    const keys = [...known].filter((key) => this.#isListed(key));
    const rows = keys.map((key) => ({ summary: this.summary(key), place: this.#placeOf(key) }));
    rows.sort((one, other) => other.summary.pinned - one.summary.pinned || byPlace(one.place, other.place) || (one.summary.target < other.summary.target ? -1 : 1));
    const list = rows.map(({ summary }) => summary);
    const before = this.#listBefore;
    const isSame = list.length === before.length && list.every((summary, at) => summary === before[at]);
    return (this.#list = this.#listBefore = isSame ? before : Object.freeze(list));
  }

  /**
   * Return a conversation's place among the others: the message id of its newest message, and among unsent messages the
   * order in which they were written.
   *
   * @param {string} key
   * @returns {[number, number]}
   */
  #placeOf(key) {
    const { lastMessage, draft } = this.summary(key);
    if (!lastMessage && draft) return [Infinity, -draft.at]; // written to nobody yet
    if (!lastMessage || lastMessage.messageId !== null) return [lastMessage?.messageId ?? 0, 0];
    const { conversation } = this.#cached(key);
    const newest = conversation.messages.get(newestShown(conversation) ?? 0);
    const [written, turn] = this.#source.optimistic.placeOf(key);
    return [Math.max(written, newest?.messageId ?? 0), turn];
  }

  /** @param {string} key @returns {ConversationSummary} */
  summary(key) {
    const cached = this.#cached(key);
    if (cached.summary) return cached.summary;
    const { conversation } = cached;
    const { kind = null, name = key, role = null, picture, closed = false, slow: slowModeSeconds = 0, may } = this.#source.facts.get(key) ?? {};
    const { messages: unread, mentions: unreadMentions } = conversation.unread.count;
    const unsent = this.#waiting(key).at(-1);
    const newest = newestShown(conversation);
    const lastMessage = unsent ? this.#unsent(cached, key, unsent) : newest === undefined ? null : this.#message(cached, key, newest);
    const receipts = Object.freeze(Object.fromEntries(conversation.receipts));
    const summary = Object.freeze({
      target: key, kind, name, role, picture, closed, slowModeSeconds, may, lastMessage, unread, unreadMentions, receipts,
      readSeq: conversation.unread.readSeq,
      lastSeq: Math.max(conversation.lastSeq, conversation.unread.rowSeq),
      typing: this.#source.typing.view(key),
      ...marksOf(conversation, this.#source.optimistic.changes.get(key)?.values()),
      over: this.#end(key),
      draft: this.#source.drafts.summary(key),
    });
    return (cached.summary = cached.before && shows(cached.before, summary) ? cached.before : summary);
  }

  /** @param {string} key @returns {ConversationView} */
  view(key) {
    const cached = this.#cached(key);
    if (cached.view) return cached.view;
    const { conversation } = cached;
    const waiting = this.#waiting(key).map((sent) => this.#unsent(cached, key, sent));
    const unsent = waiting.filter(({ payload }) => !(conversation.apart && isApart(payload)));
    const messages = this.#shown(cached, key);
    if (cached.stored.size > messages.length + SLACK) for (const seq of cached.stored.keys()) if (!conversation.messages.has(seq)) cached.stored.delete(seq);
    messages.push(...this.#source.streams.views(key), ...unsent);
    cached.unsent = new Map(waiting.map((message) => [/** @type {string} */ (message.id), message]));
    const oldest = this.#source.oldestSeq(key);
    const hasOlder = !this.#source.complete.has(key) && (oldest === null ? conversation.unread.rowSeq > 0 : oldest > 1);
    return (cached.view = Object.freeze({
      ...this.summary(key), messages: Object.freeze(messages), loaded: this.#source.opened.has(key), hasOlder, gaps: Object.freeze(gapsOf(conversation)),
      whispers: conversation.latest.of(CONVERSATION),
      source: this.#source.opened.has(key) ? "server" : this.#source.kept.has(key) ? "kept" : null,
    }));
  }

  /**
   * Return the views of the stored messages that a conversation shows beside its threads. It is called at each change, with
   * thousands of messages: what is known of one is looked up once.
   *
   * @param {CachedViews} cached
   * @param {string} key
   */
  #shown(cached, key) {
    const { apart, loose, messages, order, partial } = cached.conversation;
    const whole = loose.size === 0 && partial.size === 0;
    /** @type {MessageView[]} */
    const shown = [];
    for (const seq of order) {
      if (!whole && (loose.has(seq) || partial.has(seq))) continue;
      const view = cached.stored.get(seq) ?? this.#message(cached, key, seq);
      if (!isHidden(view) && !(apart && isApart(messages.get(seq)?.payload ?? {}))) shown.push(view);
    }
    return shown;
  }

  /** @param {string} key @param {number} rootId @returns {ThreadPaneView} */
  thread(key, rootId) {
    const cached = this.#cached(key);
    const known = cached.threads.get(rootId);
    if (known) return known;
    const { conversation } = cached;
    const summary = this.summary(key);
    const thread = conversation.threads.of(rootId);
    const [rootSeq, seqs] = [conversation.seqs.get(rootId), conversation.threads.seqsOf(rootId)];
    const root = rootSeq === undefined ? null : this.#message(cached, key, rootSeq);
    const waiting = this.#waiting(key).filter(({ envelope }) => envelope.payload.thread === rootId);
    const messages = [...seqs.map((seq) => this.#message(cached, key, seq)), ...waiting.map((sent) => this.#unsent(cached, key, sent))];
    if (root) messages.unshift(root);
    const complete = conversation.threads.open.get(rootId);
    const older = complete === false && rootSeq !== undefined && seqs.length > 0;
    const view = Object.freeze({
      ...summary, rootId, root, thread, messages: Object.freeze(messages), hasOlder: false, loaded: complete !== undefined,
      gaps: older ? [{ fromSeq: rootSeq + 1, toSeq: seqs[0] - 1 }] : [], whispers: [],
      source: complete === undefined ? null : /** @type {const} */ ("server"),
      unread: thread?.unread ?? 0, unreadMentions: thread?.mentions ?? 0,
      readSeq: thread?.readSeq ?? summary.lastSeq, lastSeq: thread?.lastSeq ?? rootSeq ?? 0,
    });
    cached.threads.set(rootId, view);
    return view;
  }

  /** Return what this device sent to a conversation and the server has not stored yet. @param {string} key */
  #waiting(key) {
    return [...(this.#source.optimistic.messages.get(key)?.values() ?? [])];
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
    const hasDraft = this.#source.drafts.summary(key) !== null && !this.#source.mirror.isEnded(key);
    return hasMessages || hasDraft || (this.#source.facts.get(key)?.kind ?? null) !== null;
  }

  /** @param {string} key @returns {CachedViews} */
  #cached(key) {
    const conversation = this.#source.mirror.conversations.get(key) ?? new Conversation(this.#source.userId, new Set(), () => {});
    let cached = this.#cache.get(key);
    const same = cached && (cached.conversation === conversation || !this.#source.mirror.conversations.has(key));
    if (!cached || !same) {
      cached = { conversation, stored: new Map(), unsent: new Map(), summary: null, before: null, view: null, threads: new Map() };
      this.#cache.set(key, cached);
    }
    return cached;
  }

  /**
   * Return the view of a stored message; undefined if it is not held.
   *
   * @param {string} key
   * @param {number} messageId
   */
  message(key, messageId) {
    const cached = this.#cached(key);
    const seq = cached.conversation.seqs.get(messageId);
    return seq === undefined ? undefined : this.#message(cached, key, seq);
  }

  /**
   * Return the view of a message that is not held.
   *
   * @param {string} key
   * @param {import("../types.js").Envelope<any>} envelope
   */
  viewOf(key, envelope) {
    const alone = new Conversation(this.#source.userId, new Set(), () => {});
    alone.take(envelope, { whole: true });
    return messageView(key, alone, /** @type {import("./message.js").Message} */ (alone.messages.get(envelope.meta.seq ?? 0)), this.#source.optimistic);
  }

  /** @param {CachedViews} cached @param {string} key @param {number} seq */
  #message({ conversation, stored }, key, seq) {
    const known = stored.get(seq);
    if (known) return known;
    const message = /** @type {import("./message.js").Message} */ (conversation.messages.get(seq));
    const view = messageView(key, conversation, message, this.#source.optimistic);
    stored.set(seq, view);
    return view;
  }

  /** @param {CachedViews} cached @param {string} key @param {Outgoing} sent */
  #unsent({ unsent }, key, sent) {
    const view = unsent.get(sent.id) ?? unsentView(key, this.#source.userId, sent, this.#source.optimistic);
    unsent.set(sent.id, view);
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

/** Tell whether two summaries show the same. @param {Record<string, any>} one @param {Record<string, any>} other */
function shows({ receipts, ...one }, { receipts: others, ...other }) {
  return isAlike(one, other) && isAlike(receipts, others);
}

/** @param {Record<string, any>} one @param {Record<string, any>} other */
function isAlike(one, other) {
  const names = Object.keys(one);
  return names.length === Object.keys(other).length && names.every((name) => one[name] === other[name]);
}
