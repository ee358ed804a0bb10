/** Views: what an application draws, as values that never change. Two equal by `===` show the same. */

import { actionsOf } from "./actions.js";

/** @import { ConversationKind, Role } from "../types.js" */
/** @import { Conversation } from "./conversation.js" */
/** @import { ActionsView } from "./actions.js" */
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
 * @property {number} timestamp Unix seconds
 * @property {number | null} editedAt
 * @property {number | null} deletedAt
 * @property {number | null} expiresAt
 * @property {readonly ReactionView[]} reactions
 * @property {readonly LatestView[]} latest other latest values about it, such as votes, the newest last
 * @property {ActionsView | null} actions its buttons, selects and forms, and what became of them
 * @property {"uploading" | "queued" | "sent" | "delivered" | "read" | "failed" | "streaming"} state `sent` for others' messages;
 *   `streaming` for one that grows until it is stored
 * @property {boolean} pending whether a change of it is not stored yet
 * @property {Error | null} error why it failed, or waits though there is a connection
 * @property {number | null} progress from 0 to 1, while its files are uploaded
 */

/**
 * @typedef {object} Facts what the server's list of conversations tells of one
 * @property {ConversationKind | null} kind null until the server has told
 * @property {string} name
 * @property {Role | null} role
 * @property {number} seq the message up to which the name is right
 * @property {number} roleSeq the message up to which the role is right
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
  const seqs = [];
  for (const { seq, type } of conversation.messages.values()) {
    if (!HIDDEN.has(type) && (partial || !conversation.partial.has(seq))) seqs.push(seq);
  }
  return seqs.sort((a, b) => a - b);
}

/**
 * Return the ranges of seqs missing between the messages held; both ends are missing.
 *
 * @param {Conversation} conversation
 */
export function gapsOf(conversation) {
  const seqs = [...conversation.messages.keys()].filter((seq) => !conversation.partial.has(seq)).sort((a, b) => a - b);
  const gaps = [];
  for (const [at, seq] of seqs.entries()) {
    const before = seqs[at - 1] ?? seq - 1;
    if (seq > before + 1) gaps.push({ fromSeq: before + 1, toSeq: seq - 1 });
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
    timestamp: message.timestamp,
    editedAt: changed.editedAt ?? null,
    deletedAt: changed.deletedAt ?? null,
    expiresAt: message.expiresAt ?? null,
    reactions: changed.deletedAt === undefined ? reactionsOf(conversation, message.messageId, changes) : [],
    latest,
    actions: changed.deletedAt === undefined ? actionsOf(changed.payload, latest) : null,
    state: mine ? stateOf(conversation, message.seq) : "sent",
    pending: changes.length > 0,
    error: null,
    progress: null,
  });
}

/** Return the view of a message that is not stored yet. @param {string} key @param {string} userId @param {Outgoing} sent @returns {MessageView} */
export function unsentView(key, userId, sent) {
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
    timestamp: meta.timestamp ?? 0,
    editedAt: null,
    deletedAt: null,
    expiresAt: null,
    reactions: [],
    latest: [],
    actions: actionsOf(payload, []),
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
  if (message.deletedAt !== undefined || type === "reaction") return message;
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
 * Return the state of an own message: `read` or `delivered` as soon as one other user has read or received it.
 *
 * @param {Conversation} conversation
 * @param {number} seq
 */
function stateOf(conversation, seq) {
  let state = /** @type {"sent" | "delivered" | "read"} */ ("sent");
  for (const [userId, { read, delivered }] of conversation.receipts) {
    if (userId === conversation.userId) continue;
    if (read >= seq) return "read";
    if (delivered >= seq) state = "delivered";
  }
  return state;
}
