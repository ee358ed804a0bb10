/**
 * What a store keeps of its conversations from one visit to the next: rows and pages, in the form in which the server sends
 * them. So what is kept is taken by the same rules as what is fetched, in any order, and twice.
 */

import { newestShown } from "./views.js";

/**
 * @import { ConversationRow, Envelope } from "../types.js"
 * @import { Conversation } from "./conversation.js"
 * @import { Message } from "./message.js"
 * @import { State } from "./state.js"
 */

/** @typedef {{ messages: Envelope<any>[], latest: Envelope<any>[], threads?: import("./threads.js").ThreadRow[] }} KeptPage */

/** @param {Message} message @returns {Envelope<any>} */
export function envelopeOf({ type, payload, ...message }) {
  return {
    type,
    payload,
    meta: present({
      message_id: message.messageId, seq: message.seq, sender_id: message.senderId, timestamp: message.timestamp, id: message.id,
      target_id: message.targetId, client_id: message.clientId, edited_at: message.editedAt, edit_id: message.editId,
      deleted_at: message.deletedAt, removed: message.removed, expires_at: message.expiresAt,
    }),
  };
}

/**
 * Return a conversation's row as the server would send it now; null where the server has sent none.
 *
 * @param {State} state
 * @param {string} key
 * @returns {ConversationRow | null}
 */
export function rowOf(state, key) {
  const conversation = state.mirror.conversations.get(key);
  const facts = state.facts.get(key);
  if (!conversation || !facts?.kind) return null;
  const last = conversation.messages.get(newestShown(conversation) ?? 0);
  const { name, role, kind, closed, slow, may } = facts;
  return /** @type {any} */ ({
    ...state.rows.get(key), kind, name, role, closed, slow_mode_seconds: slow, may, target_id: key, ...countOf(conversation),
    last_message: last ? envelopeOf(last) : null,
    latest: last ? conversation.latest.envelopes(last.messageId) : [],
  });
}

/** Return what a row says of what is unread. @param {Conversation} conversation */
export function countOf({ unread, lastSeq }) {
  const { messages, mentions } = unread.count;
  return { last_seq: Math.max(lastSeq, unread.rowSeq), read_seq: unread.readSeq, unread: messages, unread_mentions: mentions };
}

/**
 * Return the newest messages of a conversation with what is said about them; null where no whole message is held.
 *
 * @param {Conversation} conversation
 * @param {number} most
 * @returns {KeptPage | null}
 */
export function pageOf(conversation, most) {
  const seqs = conversation.order.filter((seq) => !conversation.partial.has(seq) && !conversation.loose.has(seq));
  const held = seqs.slice(-most).map((seq) => /** @type {Message} */ (conversation.messages.get(seq)));
  if (held.length === 0) return null;
  const latest = held.flatMap(({ messageId }) => [...reactionsTo(conversation, messageId), ...conversation.latest.envelopes(messageId)]);
  const threads = held.flatMap(({ messageId }) => conversation.threads.row(messageId) ?? []);
  return { messages: held.map(envelopeOf), latest: [...latest, ...receiptsOf(conversation)], threads };
}

/** @param {Conversation} conversation @param {number} messageId */
function reactionsTo({ reactions }, messageId) {
  return [...(reactions.get(messageId)?.values() ?? [])].map(({ emoji, userId, on, position }) => ({
    type: "reaction", payload: { message_id: messageId, emoji, on }, meta: { sender_id: userId, message_id: position },
  }));
}

/** @param {Conversation} conversation */
function receiptsOf({ receipts }) {
  return [...receipts].flatMap(([userId, seqs]) =>
    /** @type {const} */ (["read", "delivered"])
      .filter((state) => seqs[state] > 0)
      .map((state) => ({ type: "read_receipt", payload: { up_to_seq: seqs[state], state }, meta: { sender_id: userId } })),
  );
}

// ---- back into a state

/**
 * Take a row as an earlier visit kept it; what the server said since stays.
 *
 * @param {State} state
 * @param {ConversationRow} row
 */
export function restoreRow(state, row) {
  const { target_id: key, last_seq: lastSeq } = row;
  if (state.rows.has(key)) return;
  state.row(row);
  if (state.mirror.conversations.has(key)) state.restored.set(key, lastSeq);
}

/**
 * Take messages as an earlier visit kept them; what the server said since stays.
 *
 * @param {State} state
 * @param {string} key
 * @param {KeptPage} page
 */
export function restorePage(state, key, page) {
  if (!state.mirror.conversations.has(key)) return;
  state.kept.add(key);
  const { threads: known } = state.mirror.conversation(key);
  const threads = page.threads?.filter(({ thread }) => !known.of(thread));
  state.page(key, { ...page, threads, has_more: true }, { bounds: null });
  state.expire(Date.now() / 1000);
}

/**
 * Drop what was kept of a conversation but its newest message, which the server has told anew: the others may have changed.
 *
 * @param {State} state
 * @param {string} key
 * @param {number} upTo the last seq that was kept
 */
export function distrust(state, key, upTo) {
  state.kept.delete(key);
  state.opened.delete(key);
  state.mirror.conversations.get(key)?.distrust(upTo);
}

/** Leave out what is undefined: a storage in a file keeps JSON. @param {Record<string, any>} values @returns {any} */
function present(values) {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}
