/** Marks of conversations and saved messages: what they amount to, waiting, stored, and over. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { State } from "../../../relay/web/sdk/store/state.js";

let position = 0;

/** @param {string} sender @param {number} seq @param {object} [more] */
function said(sender, seq, more = {}) {
  position += 1;
  const target = sender === "me" ? "ann" : "me";
  return { type: "chat_message", payload: { content: String(seq) }, meta: { message_id: position, seq, sender_id: sender, target_id: target, timestamp: position }, ...more };
}

/** @param {object} payload @param {object} [meta] */
function mark(payload, meta = {}) {
  position += 1;
  return { type: "conversation_mark", payload, meta: { message_id: position, sender_id: "me", target_id: "ann", only_for: "me", timestamp: position, ...meta } };
}

/** @param {any} envelope @param {any} [ack] @param {string} [state] */
function sent(envelope, ack = null, state = ack ? "sent" : "queued") {
  return { id: "x-1", envelope: { ...envelope, meta: { target_id: "ann" } }, state, ack, error: null };
}

function begun(count = 3) {
  const state = new State("me", () => {}, { echoed: ["chat_message"], most: () => 300 });
  for (let seq = 1; seq <= count; seq += 1) state.apply(said("ann", seq));
  return state;
}

test("the newest value of a mark counts, in whatever order they come", () => {
  const state = begun();
  const [on, off] = [mark({ mark: "pinned", on: true }), mark({ mark: "pinned", on: false })];
  state.apply(off);
  state.apply(on);
  assert.equal(state.summary("ann").pinned, 0);
  const again = mark({ mark: "pinned", on: true });
  state.marks([on, again]);
  assert.equal(state.summary("ann").pinned, again.meta.message_id);
  assert.equal(state.view("ann").whispers.length, 0, "a mark is no whisper");
});

test("pinned conversations come first, the one that was pinned last before the others", () => {
  const state = begun(1);
  for (const other of ["bob", "carol"]) {
    state.apply({ ...said(other, 1), meta: { ...said(other, 1).meta } });
    state.apply(mark({ mark: "pinned", on: true }, { target_id: other }));
  }
  state.apply(said("ann", 2));
  assert.deepEqual(state.conversations.map(({ target }) => target), ["carol", "bob", "ann"]);
});

test("an archived conversation comes back with a message, and not with an edit or an event", () => {
  const state = begun();
  state.apply(mark({ mark: "archived", on: true, up_to_seq: 3 }));
  assert.equal(state.summary("ann").archived, true);
  state.apply(said("ann", 4, { type: "message_edit", payload: { message_id: 1, content: "1!" } }));
  state.apply(said("ann", 5, { type: "group_event", payload: { event: "renamed", name: "x" } }));
  assert.equal(state.summary("ann").archived, true);
  state.apply(said("me", 6));
  assert.equal(state.summary("ann").archived, false);
  assert.equal(state.summary("ann").archivedUpTo, 3);
});

test("an archived conversation comes back by its row, too, which holds only the newest message", () => {
  const state = begun(0);
  const row = { kind: "user", target_id: "ann", name: "Ann", role: "member", read_seq: 3, unread_mentions: 0 };
  const event = said("ann", 3, { type: "group_event", payload: { event: "renamed", name: "x" } });
  state.row(/** @type {any} */ ({ ...row, last_message: event, last_seq: 3, unread: 0 }));
  state.marks([mark({ mark: "archived", on: true, up_to_seq: 2 })]);
  assert.equal(state.summary("ann").archived, true);
  state.row(/** @type {any} */ ({ ...row, last_message: { ...event, meta: { ...event.meta, seq: 5, message_id: 900 } }, last_seq: 5, unread: 1 }));
  assert.equal(state.summary("ann").archived, false);
});

test("a conversation that is marked as unread is so until something newer is read", () => {
  const state = begun();
  state.apply({ type: "read_receipt", payload: { up_to_seq: 3, state: "read" }, meta: { message_id: 900, sender_id: "me", target_id: "ann" } });
  state.apply(mark({ mark: "unread", on: true, up_to_seq: 3, from_seq: 2 }));
  assert.deepEqual([state.summary("ann").markedUnread, state.summary("ann").unreadFrom, state.summary("ann").unread], [true, 2, 0]);
  state.apply(said("ann", 4));
  assert.equal(state.summary("ann").markedUnread, true);
  state.apply(said("me", 5));
  assert.deepEqual([state.summary("ann").markedUnread, state.summary("ann").unreadFrom], [false, null]);
});

test("a mark on its way counts as set, and no longer once it is refused", () => {
  const state = begun();
  const pin = mark({ mark: "pinned", on: true });
  state.sent(sent(pin), false);
  assert.equal(state.summary("ann").pinned, Number.MAX_SAFE_INTEGER);
  state.sent(sent(pin, { message_id: 500, timestamp: 1 }), false);
  assert.equal(state.summary("ann").pinned, 500);
  state.sent(sent(mark({ mark: "pinned", on: false })), false);
  assert.equal(state.summary("ann").pinned, 0);
  state.sent(sent(mark({ mark: "pinned", on: false }), null, "failed"), false);
  assert.equal(state.summary("ann").pinned, 500);
});

test("a message is saved by a value about it, waiting or stored, and looks unchanged otherwise", () => {
  const state = begun(1);
  const saved = () => state.view("ann").messages[0];
  const save = (/** @type {boolean} */ on) => ({ type: "saved_message", payload: { message_id: saved()?.messageId, on }, meta: {} });
  state.sent(sent(save(true)), false);
  assert.deepEqual([saved()?.saved, saved()?.pending, saved()?.editedAt, saved()?.payload.content], [true, false, null, "1"]);
  state.sent(sent(save(true), { message_id: 700, timestamp: 1, about: saved()?.messageId }), false);
  assert.equal(saved()?.saved, true);
  state.apply({ ...save(false), meta: { message_id: 701, about: saved()?.messageId ?? 0, sender_id: "me", target_id: "ann", only_for: "me", timestamp: 2 } });
  assert.equal(saved()?.saved, false);
});
