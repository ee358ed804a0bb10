/** What is known of a conversation besides its messages: its kind, name and picture, and this user's role. */

/** @import { ConversationKind, ConversationRow, Role } from "../types.js" */

/**
 * @typedef {object} Facts what the server's list of conversations tells of one
 * @property {ConversationKind | null} kind null until the server has told
 * @property {string} name
 * @property {Role | null} role
 * @property {string | null} [picture] an attachment
 * @property {number} seq the message up to which the name and the picture are right
 * @property {number} roleSeq the message up to which the role is right
 * @property {boolean} [closed] whether nobody may write in the group any more
 * @property {number} [slow] the seconds between two messages of a plain member, by the group's slow mode; 0 for none
 * @property {number} [slowSeq] the message up to which that is right
 * @property {readonly string[]} [may] what this user may do in the group
 * @property {number} [asks] the event since which the server is to be asked what they may do; 0 where it was
 */

/**
 * Return what the server's row of a conversation tells.
 *
 * @param {ConversationRow} row
 * @param {Facts} [known] before it
 * @returns {Facts}
 */
export function factsOf({ kind, name, role, picture, closed, slow_mode_seconds: slow = 0, may: told, last_seq: seq }, known) {
  const asks = known?.asks && known.asks > seq ? known.asks : 0; // an older row does not answer
  const may = known?.may?.join() === told?.join() ? known?.may : told; // views compare it
  return { kind, name, role, picture, seq, roleSeq: seq, closed, slow, slowSeq: seq, may, asks };
}

/** Return what is known of a conversation that is not on the server's list. @param {string} key @param {number} seq @returns {Facts} */
export function noFacts(key, seq) {
  return { kind: null, name: key, role: null, seq, roleSeq: 0 };
}

/**
 * Return what is known of a group after an event. One that fills a gap comes after newer ones.
 *
 * @param {Facts} facts
 * @param {any} payload
 * @param {number} seq
 * @param {string} userId
 */
export function regrouped(facts, payload, seq, userId) {
  const made = { ...facts };
  if (payload.event === "renamed" && seq > facts.seq) Object.assign(made, { name: payload.name, seq });
  if (payload.event === "changed" && seq > facts.seq && payload.picture !== undefined) Object.assign(made, { picture: payload.picture, seq });
  // What this user may do is the server's to say; that a group is closed, it has just said.
  const { closed, rights, event, slow_mode_seconds: slow } = payload;
  if (seq > facts.seq && (closed !== undefined || rights !== undefined || event === "role_changed")) {
    Object.assign(made, { closed: closed ?? facts.closed, asks: seq });
  }
  if (slow !== undefined && seq > (facts.slowSeq ?? 0)) Object.assign(made, { slow, slowSeq: seq });
  const mine = payload.user_id === userId;
  // An owner who makes another user the owner becomes an admin. No event tells that.
  const role = mine ? payload.role : payload.role === "owner" && facts.role === "owner" ? "admin" : undefined;
  if (role && seq > facts.roleSeq) Object.assign(made, { role, roleSeq: seq });
  return made;
}
