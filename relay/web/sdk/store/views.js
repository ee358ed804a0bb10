/** Views: what an application draws, as values that never change. Two equal by `===` show the same. */

import { actionsOf } from "./actions.js";
import { isSaved, SAVED } from "./marks.js";
import { isPinned, PIN } from "./pins.js";

/** @import { Conversation } from "./conversation.js" */
/** @import { ActionsView } from "./actions.js" */
/** @import { FileView } from "./files.js" */
/** @import { LatestView } from "./latest.js" */
/** @import { Message } from "./message.js" */
/** @import { OptimisticUpdates, Outgoing } from "./optimistic.js" */

/** @typedef {{ emoji: string, userIds: readonly string[], mine: boolean }} ReactionView */

/**
 * @typedef {object} MessageView
 * @property {string} key identifies it in a list; the same before and after it is stored
 * @property {string} conversation
 * @property {number | null} messageId null until it is stored
 * @property {number | null} seq
 * @property {string | null} id the sender's own
 * @property {string} type
 * @property {string} senderId
 * @property {boolean} mine
 * @property {Readonly<Record<string, any>>} payload empty for a tombstone
 * @property {readonly FileView[]} files its attachments
 * @property {number} timestamp Unix seconds
 * @property {number | null} editedAt
 * @property {number | null} deletedAt
 * @property {boolean} removed whether somebody else than its author deleted it: an admin of the group, or a moderator
 * @property {number | null} expiresAt
 * @property {readonly ReactionView[]} reactions
 * @property {readonly LatestView[]} latest other latest values about it, such as votes, the newest last
 * @property {boolean} saved whether this user saved it for themself
 * @property {ActionsView | null} actions its buttons, selects and forms, and what became of them
 * @property {import("./threads.js").ThreadView | null} thread how the thread of its replies stands; null where it has none
 * @property {boolean} pinned whether its conversation keeps it at hand
 * @property {"uploading" | "queued" | "sent" | "delivered" | "read" | "failed" | "streaming"} state `sent` for others' messages;
 *   `streaming` for one that grows until it is stored
 * @property {boolean} pending whether a change of it is not stored yet
 * @property {Error | null} error why it failed, or waits though there is a connection
 * @property {number | null} progress from 0 to 1, while its files are uploaded
 */

/** Types that change other messages, or are for programs, and are not shown themselves. */
const HIDDEN = new Set(["message_edit", "message_delete", "action", "slash_command"]);

/**
 * Return a message's key: by its own id where it has one, as it has no message id before it is stored.
 *
 * @param {{ senderId: string, id?: string, messageId?: number }} message
 * @param {string} userId
 */
export function keyOf({ senderId, id, messageId }, userId) {
  if (id === undefined) return `m:${messageId}`;
  return senderId === userId ? `i:${id}` : `i:${senderId}/${id}`;
}

/**
 * Return the seqs that are shown, in order.
 *
 * @param {Conversation} conversation
 * @param {{ partial?: boolean }} [options] partial: also those whose page is still to be loaded
 */
export function shownSeqs(conversation, { partial = false } = {}) {
  return conversation.order.filter((seq) => isShown(conversation, seq, partial));
}

/**
 * Return the newest seq that is shown, whether its page is loaded or not.
 *
 * @param {Conversation} conversation
 */
export function newestShown(conversation) {
  return conversation.order.findLast((seq) => isShown(conversation, seq, true));
}

/** Tell whether a message changes another one, or is for programs: it is not shown itself. @param {{ type: string }} message */
export function isHidden({ type }) {
  return HIDDEN.has(type);
}

/** @param {Conversation} conversation @param {number} seq @param {boolean} partial */
function isShown({ loose, messages, partial: previews }, seq, partial) {
  return !HIDDEN.has(messages.get(seq)?.type ?? "") && !loose.has(seq) && (partial || !previews.has(seq));
}

/**
 * Return the ranges of seqs missing between the messages held; both ends are missing.
 *
 * @param {Conversation} conversation
 */
export function gapsOf({ loose, order, partial, voids }) {
  const gaps = [];
  const whole = partial.size === 0 && loose.size === 0;
  let before = 0;
  for (const seq of order) {
    if (!whole && (partial.has(seq) || loose.has(seq))) continue;
    if (before > 0 && seq > before + 1 && !((voids.get(before + 1) ?? 0) >= seq - 1)) gaps.push({ fromSeq: before + 1, toSeq: seq - 1 });
    before = seq;
  }
  return gaps;
}

/**
 * Return the view of a stored message, with those changes of it that are not stored yet.
 *
 * @param {string} key
 * @param {Conversation} conversation
 * @param {Message} message
 * @param {OptimisticUpdates} optimistic
 * @returns {MessageView}
 */
export function messageView(key, conversation, message, optimistic) {
  const changes = optimistic.changesOf(key, message.messageId);
  const changed = changes.reduce((now, sent) => withChange(now, sent), message);
  const mine = message.senderId === conversation.userId;
  const latest = conversation.latest.of(message.messageId);
  return Object.freeze({
    key: keyOf(message, conversation.userId),
    conversation: key,
    messageId: message.messageId,
    seq: message.seq,
    id: message.id ?? null,
    type: message.type,
    senderId: message.senderId,
    mine,
    payload: changed.payload,
    files: changed.deletedAt === undefined ? optimistic.uploaded.of(changed.payload) : [],
    timestamp: message.timestamp,
    editedAt: changed.editedAt ?? null,
    deletedAt: changed.deletedAt ?? null,
    removed: message.removed === true,
    expiresAt: message.expiresAt ?? null,
    reactions: changed.deletedAt === undefined ? reactionsOf(conversation, message.messageId, changes) : [],
    latest,
    saved: isSaved(latest, changes),
    actions: changed.deletedAt === undefined ? actionsOf(changed.payload, latest) : null,
    thread: conversation.threads.of(message.messageId),
    pinned: changed.deletedAt === undefined && isPinned(latest, changes),
    state: mine ? stateOf(conversation, message, conversation.inGroup || message.type === "group_message") : "sent",
    pending: changes.some(({ envelope }) => envelope.type !== PIN && envelope.type !== SAVED),
    error: null,
    progress: null,
  });
}

/**
 * Return the view of a message that is not stored yet.
 *
 * @param {string} key
 * @param {string} userId
 * @param {Outgoing} sent
 * @param {OptimisticUpdates} optimistic
 * @returns {MessageView}
 */
export function unsentView(key, userId, sent, optimistic) {
  const { type, payload, meta } = sent.envelope;
  return Object.freeze({
    key: `i:${sent.id}`,
    conversation: key,
    messageId: null,
    seq: null,
    id: sent.id,
    type,
    senderId: userId,
    mine: true,
    payload,
    files: optimistic.uploaded.unsent(sent),
    timestamp: meta.timestamp ?? 0,
    editedAt: null,
    deletedAt: null,
    removed: false,
    expiresAt: null,
    reactions: [],
    latest: [],
    saved: false,
    actions: actionsOf(payload, []),
    thread: null,
    pinned: false,
    state: /** @type {"queued"} */ (sent.state),
    pending: false,
    error: sent.error,
    progress: sent.progress ?? null,
  });
}

/**
 * Return a message as it will be once a change of it is stored.
 *
 * @param {Message} message
 * @param {Outgoing} sent
 * @returns {Message}
 */
function withChange(message, { envelope: { type, payload, meta } }) {
  const at = meta.timestamp ?? 0;
  if (message.deletedAt !== undefined || type === "reaction" || type === PIN || type === SAVED) return message;
  if (type === "message_delete") return { ...message, payload: {}, deletedAt: at };
  const { message_id: _, ...changed } = payload;
  return { ...message, payload: { ...message.payload, ...changed }, editedAt: at };
}

/** @param {Conversation} conversation @param {number} messageId @param {Outgoing[]} changes */
function reactionsOf(conversation, messageId, changes) {
  /** @type {Map<string, Set<string>>} */
  const users = new Map();
  /** @param {string} emoji @param {string} userId @param {boolean} on */
  const set = (emoji, userId, on) => {
    const given = users.get(emoji) ?? new Set();
    if (on) users.set(emoji, given.add(userId));
    else given.delete(userId);
  };
  for (const { emoji, userId, on } of conversation.reactions.get(messageId)?.values() ?? []) set(emoji, userId, on);
  for (const { envelope } of changes) {
    if (envelope.type === "reaction") set(envelope.payload.emoji, conversation.userId, envelope.payload.on);
  }
  const views = [];
  for (const [emoji, given] of users) {
    if (given.size > 0) views.push(Object.freeze({ emoji, userIds: [...given].sort(), mine: given.has(conversation.userId) }));
  }
  return views;
}

/**
 * Return the state of an own message: `delivered` as soon as one other user has received it, `read` once all have read it. While
 * it is not known who is in a group, nothing is `read` there.
 *
 * @param {Conversation} conversation
 * @param {Message} message
 * @param {boolean} inGroup
 */
function stateOf({ members, receipts, userId }, { seq }, inGroup) {
  let state = /** @type {"sent" | "delivered" | "read"} */ ("sent");
  for (const [other, { read, delivered }] of receipts) {
    if (other === userId) continue;
    if (read >= seq && !inGroup) return "read";
    if (read >= seq || delivered >= seq) state = "delivered";
  }
  if (!inGroup || state === "sent" || !members || members.size < 2) return state;
  for (const other of members) if (other !== userId && (receipts.get(other)?.read ?? 0) < seq) return state;
  return "read";
}
