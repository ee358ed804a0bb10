/** The rules of the store's state, one by one, on envelopes as the server sends them. */

import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import { UNREAD_TYPES } from "../../../relay/web/sdk/protocol.js";
import { State } from "../../../relay/web/sdk/store/state.js";
import { randomOf } from "../support/random.js";

/** @type {string[]} */
let touched = [];

/** @param {number} [keep] */
function newState(keep = 300) {
  touched = [];
  return new State("me", (path) => touched.push(path), { echoed: ["chat_message", "group_message"], most: () => keep });
}

/** Envelopes of a conversation with ann, or of a group. @param {string} [group] */
function talk(group) {
  let position = 0;
  let seq = 0;
  const say = (/** @type {string} */ type, /** @type {string} */ sender, /** @type {any} */ payload, /** @type {any} */ meta = {}) => {
    position += 1;
    const numbered = meta.seq === null ? {} : { seq: (seq += 1) };
    const target = group ?? (sender === "me" ? "ann" : "me");
    const { seq: _, ...more } = meta;
    return { type, payload, meta: { message_id: position, ...numbered, sender_id: sender, target_id: target, timestamp: position, ...more } };
  };
  return {
    say: (/** @type {string} */ sender, /** @type {string} */ content, /** @type {any} */ more = {}, meta = {}) =>
      say(group ? "group_message" : "chat_message", sender, { content, ...more }, meta),
    edit: (/** @type {string} */ sender, /** @type {any} */ about, /** @type {string} */ content, meta = {}) =>
      say("message_edit", sender, { message_id: about.meta.message_id, content }, meta),
    delete: (/** @type {string} */ sender, /** @type {any} */ about) =>
      say("message_delete", sender, { message_id: about.meta.message_id }),
    react: (/** @type {string} */ sender, /** @type {any} */ about, on = true) =>
      say("reaction", sender, { message_id: about.meta.message_id, emoji: "👍", on }, { seq: null }),
    receipt: (/** @type {string} */ sender, /** @type {number} */ up_to_seq, more = {}) =>
      say("read_receipt", sender, { up_to_seq, state: "read", ...more }, { seq: null }),
    event: (/** @type {string} */ event, /** @type {any} */ more = {}) => say("group_event", "ann", { event, ...more }),
    raw: say,
  };
}

/** @param {State} state @param {string} [key] */
function contents(state, key = "ann") {
  return state.view(key).messages.map(({ payload, deletedAt }) => (deletedAt === null ? payload.content : "†"));
}

/** @param {any} ack @param {any} message @param {string} [state] */
function sent(message, ack = null, state = ack ? "sent" : "queued") {
  return { id: message.meta.id, envelope: message, state, ack, error: state === "failed" ? new Error("refused") : null };
}

beforeEach(() => mock.timers.enable({ apis: ["setTimeout", "Date"] }));
afterEach(() => mock.timers.reset());

test("a message is shown once, however often it comes", () => {
  const state = newState();
  const first = talk().say("ann", "Hi");
  state.apply(first);
  const { messages } = state.view("ann");
  state.apply({ ...first, meta: { ...first.meta, replay: true } });
  assert.deepEqual(contents(state), ["Hi"]);
  assert.equal(state.view("ann").messages[0], messages[0], "what did not change is the same object");
});

test("of two versions the later edit wins, in either order", () => {
  for (const swapped of [false, true]) {
    const state = newState();
    const { say, edit } = talk();
    const first = say("ann", "Hi");
    const versions = [{ ...first }, edit("ann", first, "Hello"), edit("ann", first, "Hello!")];
    versions[2].meta.replaces = versions[1].meta.message_id;
    for (const envelope of swapped ? versions.toReversed() : versions) state.apply(envelope);
    assert.deepEqual(contents(state), ["Hello!"], `swapped: ${swapped}`);
    assert.equal(state.view("ann").messages[0]?.editedAt, 3);
  }
});

test("an unedited version does not undo an edit, whichever comes last", () => {
  const { say } = talk();
  const first = say("ann", "Hi");
  const edited = { ...first, payload: { content: "2" }, meta: { ...first.meta, edited_at: 2, edit_id: 2 } };
  for (const versions of [[first, edited], [edited, first]]) {
    const state = newState();
    for (const envelope of versions) state.apply(envelope);
    assert.deepEqual(contents(state), ["2"]);
  }
});

test("of two edits that come before their message, and in the wrong order, the later one counts", () => {
  const state = newState();
  const { say, edit } = talk();
  const first = say("ann", "Hi");
  const [earlier, later] = [edit("ann", first, "Hello"), edit("ann", first, "Hello!")];
  for (const envelope of [later, earlier, first]) state.apply(envelope);
  assert.deepEqual(contents(state), ["Hello!"]);
});

test("a tombstone stays one, after thousands of other deletions as well", () => {
  const state = newState(5_000);
  const { say, delete: remove } = talk();
  const first = say("ann", "Hi");
  state.apply({ ...first, payload: {}, meta: { ...first.meta, deleted_at: 2 } });
  for (let about = 10_000; about < 12_001; about += 1) state.apply(remove("ann", { meta: { message_id: about } }));
  state.page("ann", { messages: [first], has_more: false });
  assert.deepEqual(state.mirror.conversation("ann").messages.get(1)?.payload, {});
});

test("mentions that an edit clears are gone, as in a fresh page", () => {
  const { say, edit } = talk();
  const first = say("ann", "@me, hi", { mentions: ["me"] });
  const plain = edit("ann", first, "hi");
  const clearing = { ...plain, payload: { ...plain.payload, mentions: [] } };
  const anew = { ...first, payload: { content: "hi" }, meta: { ...first.meta, edited_at: plain.meta.timestamp, edit_id: plain.meta.message_id } };
  const [live, loaded] = [newState(), newState()];
  for (const envelope of [first, clearing]) live.apply(envelope);
  for (const envelope of [anew, clearing]) loaded.apply(envelope);
  const payloads = [live, loaded].map((state) => [...(state.mirror.conversations.get("ann")?.messages.values() ?? [])][0]?.payload);
  assert.deepEqual(payloads, [{ content: "hi" }, { content: "hi" }]);
});

test("of two edits the later one counts, also when the clock was set back between them", () => {
  const { say, edit } = talk();
  const first = say("ann", "Hi", {}, { timestamp: 10_000 });
  const earlier = edit("ann", first, "Hello", { timestamp: 10_060 });
  const later = edit("ann", first, "Hello!", { timestamp: 2_900, replaces: earlier.meta.message_id });
  const read = (/** @type {any} */ change) => ({ ...first, payload: { content: change.payload.content }, meta: { ...first.meta, edited_at: change.meta.timestamp, edit_id: change.meta.message_id } });
  /** @type {Record<string, (state: State) => void>} */
  const ways = {
    "as it happened": (state) => [first, earlier, later].forEach((envelope) => state.apply(envelope)),
    "the later one first": (state) => [first, later, earlier].forEach((envelope) => state.apply(envelope)),
    "a page, then an edit": (state) => (state.page("ann", { messages: [read(earlier)], has_more: false }), state.apply(later)),
    "a page, then a newer one": (state) => [earlier, later].forEach((change) => state.page("ann", { messages: [read(change)], has_more: false })),
    "a page from before that comes late": (state) => {
      for (const envelope of [first, earlier, later]) state.apply(envelope);
      state.page("ann", { messages: [read(earlier)], has_more: false });
    },
  };
  for (const [way, take] of Object.entries(ways)) {
    const state = newState();
    take(state);
    assert.deepEqual(contents(state), ["Hello!"], way);
    assert.equal(state.view("ann").messages[0]?.editedAt, 2_900, way);
  }
});

test("conversations are sorted by their newest message's id, whatever the clock said", () => {
  const state = newState();
  const said = (/** @type {number} */ position, /** @type {string} */ sender, /** @type {number} */ timestamp) =>
    state.apply({ type: "chat_message", payload: { content: "Hi" }, meta: { message_id: position, seq: 1, sender_id: sender, target_id: "me", timestamp } });
  const listed = () => state.conversations.map(({ target }) => target);
  said(1, "ann", 9_000);
  said(2, "ben", 1_800); // the clock went back by two hours
  assert.deepEqual(listed(), ["ben", "ann"]);
  const mine = { type: "chat_message", payload: { content: "Hello" }, meta: { id: "x", target_id: "ann", timestamp: 5 } };
  state.sent(sent(mine), false);
  assert.deepEqual(listed(), ["ann", "ben"], "what waits will be the newest");
  state.sent(sent(mine, null, "failed"), false);
  assert.deepEqual(listed(), ["ann", "ben"], "what failed stays where it was written");
  said(3, "cid", 1_900);
  assert.deepEqual(listed(), ["cid", "ann", "ben"]);
  const another = { ...mine, meta: { id: "y", target_id: "ben", timestamp: 4 } };
  const third = { ...mine, meta: { id: "z", target_id: "ann", timestamp: 3 } };
  for (const message of [another, third]) state.sent(sent(message), false);
  assert.deepEqual(listed(), ["ann", "ben", "cid"], "of those that wait the one that was written last comes first");
});

test("of two edits at the same time the later one counts", () => {
  const state = newState();
  const { say, edit } = talk();
  const first = say("ann", "Hi");
  const edits = [edit("ann", first, "Hello", { timestamp: 5 }), edit("ann", first, "Hello!", { timestamp: 5, replaces: 2 })];
  for (const envelope of [first, ...edits]) state.apply(envelope);
  assert.deepEqual(contents(state), ["Hello!"]);
  const { messages } = state.view("ann");
  state.apply(edits[1]);
  assert.equal(state.view("ann").messages[0], messages[0]);
});

test("a page that was read before an edit does not undo it", () => {
  const state = newState();
  const { say, edit } = talk();
  const first = say("ann", "Hi");
  state.apply(edit("ann", first, "Hello"));
  state.page("ann", { messages: [first], has_more: false });
  assert.deepEqual(contents(state), ["Hello"]);
});

test("a page that was read before a deletion does not undo it", () => {
  const state = newState(5_000);
  const { say, delete: remove } = talk();
  const first = say("ann", "Hi");
  state.apply(remove("ann", first));
  state.page("ann", { messages: [first], has_more: false });
  assert.deepEqual(contents(state), ["†"]);
  assert.equal(state.summary("ann").unread, 0);
});

test("a deletion takes a message's edits and reactions with it", () => {
  const state = newState();
  const { say, edit, react, delete: remove } = talk();
  const first = say("ann", "Hi");
  const changed = edit("ann", first, "Hello");
  for (const envelope of [first, changed, react("me", first), remove("ann", first)]) state.apply(envelope);
  const [message] = state.view("ann").messages;
  assert.deepEqual([message?.payload, message?.reactions], [{}, []]);
  assert.deepEqual(state.mirror.conversation("ann").messages.get(2)?.payload, {});
  assert.equal(state.mirror.conversation("ann").reactions.size, 0, "nothing is kept of them");
  state.apply(react("ann", first));
  assert.deepEqual(state.view("ann").messages[0]?.reactions, []);
});

test("of a reaction the newest value counts, whichever comes last", () => {
  const state = newState();
  const { say, react } = talk();
  const first = say("ann", "Hi");
  const [on, off] = [react("ann", first), react("ann", first, false)];
  for (const envelope of [first, off, on]) state.apply(envelope);
  assert.deepEqual(state.view("ann").messages[0]?.reactions, []);
});

test("a reaction to a message that comes later is shown with it", () => {
  const state = newState();
  const { say, react } = talk();
  const [first, second] = [say("ann", "Hi"), say("ann", "You there?")];
  for (const envelope of [second, react("me", first), first]) state.apply(envelope);
  assert.deepEqual(state.view("ann").messages[0]?.reactions, [{ emoji: "👍", userIds: ["me"], mine: true }]);
});

test("a replaced notification is a tombstone, also when it comes later", () => {
  const state = newState();
  const { raw } = talk("team");
  const [old, anew] = [raw("notification", "root", { title: "1" }), raw("notification", "root", { title: "2" }, { replaces: 1 })];
  for (const envelope of [anew, old]) state.apply(envelope);
  assert.deepEqual(state.view("team").messages.map(({ payload }) => payload), [{}, { title: "2" }]);
  assert.equal(state.summary("team").unread, 1);
});

test("messages of others after the pointer are unread; sending is also reading", () => {
  const state = newState();
  const { say, receipt } = talk();
  for (const content of ["1", "2", "3"]) state.apply(say("ann", content));
  assert.equal(state.summary("ann").unread, 3);
  state.apply(receipt("me", 2, { private: true }));
  assert.equal(state.summary("ann").unread, 1);
  assert.equal(state.mirror.conversation("ann").receipts.has("me"), false, "a private receipt is none that others see");
  state.apply(receipt("me", 1));
  assert.equal(state.summary("ann").unread, 1, "a pointer only moves forward");
  state.apply(say("me", "4"));
  state.apply(say("ann", "5"));
  assert.equal(state.summary("ann").unread, 1);
});

test("the types that count as unread on the server count here, and no others", () => {
  const state = newState();
  const { event } = talk("team");
  const types = [...UNREAD_TYPES, "weather_report"];
  for (const [at, type] of types.entries()) {
    const meta = { message_id: 100 + at, seq: 1 + at, sender_id: "ann", target_id: "me", timestamp: 1 };
    state.apply({ type, payload: { kind: undefined }, meta });
  }
  assert.equal(state.summary("ann").unread + state.view("self").unread, UNREAD_TYPES.length);
  state.apply(event("renamed", { name: "Team" }));
  assert.equal(state.summary("team").unread, 0);
});

test("mentions count if they are of this user, or of everybody", () => {
  const state = newState();
  const { say } = talk("team");
  state.apply(say("ann", "1", { mentions: ["me"] }));
  state.apply(say("ann", "2", { mentions: ["ben"] }));
  state.apply(say("ann", "3", { mentions: ["*"] }));
  assert.deepEqual([state.summary("team").unread, state.summary("team").unreadMentions], [3, 2]);
  const edit = say("ann", "1, edited", { message_id: 1, mentions: ["me"] });
  state.apply({ ...edit, type: "message_edit" });
  assert.deepEqual([state.summary("team").unread, state.summary("team").unreadMentions], [3, 2], "an edit repeats those of its message");
});

/** @param {any} more */
function row(more) {
  return { kind: "user", target_id: "ann", name: "Ann", role: "member", last_message: null, unread_mentions: 0, read_seq: 0, ...more };
}

test("unread messages that are not held are counted by the row, and counted once", () => {
  const state = newState();
  const { say, receipt } = talk();
  const messages = Array.from({ length: 10 }, (_, at) => say("ann", String(at)));
  state.row(row({ last_seq: 10, unread: 10, last_message: messages[9] }));
  assert.equal(state.summary("ann").unread, 10);
  assert.equal(state.summary("ann").name, "Ann");
  state.page("ann", { messages: messages.slice(5), has_more: true }, { older: true });
  assert.equal(state.summary("ann").unread, 10);
  state.apply(say("ann", "10"));
  assert.equal(state.summary("ann").unread, 11);
  state.apply(receipt("me", 7));
  assert.equal(state.summary("ann").unread, 4, "all that is not held was read");
  assert.equal(state.mirror.conversation("ann").unread.dirty, false);
});

test("when the pointer moves among messages that are not held, the row is fetched again", () => {
  const state = newState();
  const { say, receipt } = talk();
  const messages = Array.from({ length: 10 }, (_, at) => say("ann", String(at)));
  state.row(row({ last_seq: 10, unread: 8, last_message: messages[9] }));
  state.apply(receipt("me", 4));
  assert.equal(state.mirror.conversation("ann").unread.dirty, true);
  state.row(row({ last_seq: 10, read_seq: 4, unread: 6 }));
  assert.equal(state.mirror.conversation("ann").unread.dirty, false);
  assert.equal(state.summary("ann").unread, 6);
});

test("messages that are dropped stay unread", () => {
  const state = newState(10);
  const { say } = talk();
  for (let at = 0; at < 200; at += 1) state.apply(say("ann", String(at)));
  assert.ok(state.view("ann").messages.length <= 60);
  assert.equal(state.summary("ann").unread, 200);
  assert.equal(state.view("ann").hasOlder, true);
});

test("an older row does not undo newer events", () => {
  const state = newState();
  const { say } = talk();
  state.row(row({ last_seq: 3, unread: 3 }));
  state.row(row({ last_seq: 5, unread: 5 }));
  state.row(row({ last_seq: 3, unread: 3 }));
  state.apply({ ...say("ann", "6"), meta: { ...say("ann", "6").meta, seq: 6 } });
  assert.equal(state.summary("ann").unread, 6);
});

test("a removed user forgets the group; one who is added again begins anew", () => {
  const state = newState();
  const { say, event } = talk("team");
  state.apply(say("ann", "1"));
  const [removed, late] = [event("member_removed", { user_id: "me" }), say("ann", "2")];
  state.apply(removed);
  assert.deepEqual(state.conversations, []);
  state.apply({ ...late, meta: { ...late.meta, message_id: 1 } });
  assert.deepEqual(state.conversations, [], "what comes late is no conversation");
  state.apply(event("member_added", { user_id: "me", role: "member" }));
  assert.equal(state.mirror.conversation("team").stale, true);
  assert.deepEqual(contents(state, "team"), [], "what is to be seen of it is asked for");
  state.page("team", { messages: [late, event("renamed", { name: "T" })], has_more: false }, { older: true });
  assert.equal(contents(state, "team").length, 2);
  state.apply(removed);
  assert.equal(state.conversations.length, 1, "a removal before that says nothing now");
});

test("a row or a page that was requested before a group was left does not bring it back", () => {
  const state = newState();
  const { say, event } = talk("team");
  const [first, removed] = [say("ann", "1"), event("member_removed", { user_id: "me" })];
  state.apply(first);
  state.apply(removed);
  state.row(row({ kind: "group", target_id: "team", last_seq: 1, unread: 1, last_message: first }));
  state.page("team", { messages: [first], has_more: false }, { older: true });
  assert.deepEqual(state.conversations, []);
  const added = event("member_added", { user_id: "me", role: "member" });
  state.row(row({ kind: "group", target_id: "team", last_seq: 3, unread: 0, last_message: added }));
  assert.equal(state.conversations.length, 1, "the row of after the return does");
});

test("messages before a gap are dropped, as they may be edited there, and stay unread until the server tells", () => {
  const state = newState();
  const { say } = talk();
  const messages = Array.from({ length: 9 }, (_, at) => say("ann", String(at)));
  for (const at of [0, 1, 8]) state.apply(messages[at]);
  state.missed({ kind: "user", target_id: "ann", to_seq: 8 });
  assert.deepEqual(contents(state), ["8"]);
  assert.deepEqual([state.summary("ann").unread, state.view("ann").gaps, state.view("ann").hasOlder], [3, [], true]);
  assert.equal(state.mirror.conversation("ann").unread.dirty, true);
  state.row(row({ last_seq: 9, unread: 9 }));
  assert.equal(state.summary("ann").unread, 9);
});

test("a deletion that the row has counted does not change the count", () => {
  const state = newState(5_000);
  const { say, delete: remove } = talk();
  const [first, second] = [say("ann", "1"), say("ann", "2")];
  state.apply(first);
  state.apply(second);
  state.row(row({ last_seq: 3, unread: 1 }));
  assert.equal(state.summary("ann").unread, 1);
  state.apply(remove("ann", first));
  assert.equal(state.summary("ann").unread, 1);
});

test("names and roles follow the group's events", () => {
  const state = newState();
  const { event } = talk("team");
  state.row(row({ kind: "group", target_id: "team", name: "Team", last_seq: 0, unread: 0, role: "owner" }));
  const [older, newer] = [event("renamed", { name: "Old" }), event("renamed", { name: "New" })];
  state.apply(newer);
  state.apply(older);
  assert.equal(state.summary("team").name, "New");
  state.apply(event("role_changed", { user_id: "ann", role: "owner" }));
  assert.equal(state.summary("team").role, "admin");
});

test("what one may do in a group is the server's to say, and is asked for again once it may have changed", () => {
  const state = newState();
  const { event, say } = talk("team");
  const told = { kind: "group", target_id: "team", unread: 0, role: "member" };
  state.row(row({ ...told, last_seq: 0, may: ["read", "write"], closed: false }));
  const { may } = state.summary("team");
  assert.deepEqual(may, ["read", "write"]);
  assert.equal(state.facts.get("team")?.asks, 0);
  state.apply(event("changed", { description: "What we do" }));
  assert.equal(state.facts.get("team")?.asks, 0, "nothing of the rights changed");
  const closing = event("changed", { closed: true });
  state.apply(closing);
  assert.equal(state.summary("team").closed, true);
  assert.equal(state.facts.get("team")?.asks, closing.meta.seq);
  state.row(row({ ...told, last_seq: closing.meta.seq - 1, may: ["read", "write"], closed: false }));
  assert.equal(state.facts.get("team")?.asks, closing.meta.seq, "that row is older than the change");
  state.row(row({ ...told, last_seq: closing.meta.seq, may: ["read"], closed: true }));
  assert.deepEqual(state.summary("team").may, ["read"]);
  assert.equal(state.facts.get("team")?.asks, 0);
  state.row(row({ ...told, last_seq: closing.meta.seq, may: ["read"], closed: true }));
  state.apply(event("role_changed", { user_id: "me", role: "admin" }));
  assert.notEqual(state.facts.get("team")?.asks, 0);
  assert.equal(state.summary("team").role, "admin");
});

test("slow mode is that of the list and of the group's events, of which one that fills a gap is older", () => {
  const state = newState();
  const { event } = talk("team");
  state.row(row({ kind: "group", target_id: "team", last_seq: 0, unread: 0, role: "member" }));
  assert.equal(state.summary("team").slowModeSeconds, 0);
  const [older, newer] = [event("changed", { slow_mode_seconds: 30 }), event("changed", { slow_mode_seconds: 60 })];
  state.apply(newer);
  assert.equal(state.summary("team").slowModeSeconds, 60);
  state.apply(older);
  assert.equal(state.summary("team").slowModeSeconds, 60);
  assert.equal(state.facts.get("team")?.asks, 0, "nothing of the rights changed");
  state.apply(event("changed", { slow_mode_seconds: 0 }));
  assert.equal(state.summary("team").slowModeSeconds, 0);
});

test("pictures are those of the list and of the group's events", () => {
  const state = newState();
  const { event } = talk("team");
  state.row(row({ kind: "group", target_id: "team", last_seq: 0, unread: 0, picture: "a_1" }));
  assert.equal(state.summary("team").picture, "a_1");
  state.apply(event("changed", { description: "What we do" }));
  assert.equal(state.summary("team").picture, "a_1");
  state.apply(event("changed", { picture: null }));
  assert.equal(state.summary("team").picture, null);
  assert.equal(state.summary("ann").picture, undefined, "the server has not told");
});

test("receipts set the state of own messages, and of no others", () => {
  const state = newState();
  const { say, receipt } = talk();
  for (const envelope of [say("me", "1", {}, { id: "a" }), say("me", "2", {}, { id: "b" })]) state.apply(envelope);
  const [, second] = state.view("ann").messages;
  state.apply(receipt("ann", 1));
  assert.deepEqual(state.view("ann").messages.map((message) => message.state), ["read", "sent"]);
  assert.equal(state.view("ann").messages[1], second);
  state.apply(receipt("ann", 2, { state: "delivered" }));
  assert.deepEqual(state.view("ann").messages.map((message) => message.state), ["read", "delivered"]);
  for (const upTo of [2, 1]) state.apply(receipt("ann", upTo));
  assert.deepEqual(state.view("ann").messages.map((message) => message.state), ["read", "read"], "they only move forward");
});

test("in a group a message is read once all who are in it have read it", () => {
  const state = newState();
  const { say, receipt, event } = talk("team");
  const states = () => state.view("team").messages.filter(({ mine }) => mine).map((message) => message.state);
  state.apply(say("me", "1", {}, { id: "a" }));
  state.apply(receipt("ann", 1));
  assert.deepEqual(states(), ["delivered"]); // who is in it is not known
  const conversation = state.mirror.conversation("team");
  conversation.know(["me", "ann", "bob"]);
  assert.deepEqual(states(), ["delivered"]);
  state.apply(receipt("bob", 1));
  assert.deepEqual(states(), ["read"]);
  state.apply(event("member_added", { user_id: "cleo" }));
  assert.deepEqual(states(), ["delivered"]);
  const removal = event("member_removed", { user_id: "cleo" });
  const last = event("member_added", { user_id: "dan" });
  state.apply(receipt("dan", 1));
  state.apply(last);
  assert.deepEqual(states(), ["delivered"]); // cleo has not read it
  state.apply(removal); // it fills a gap
  assert.equal(conversation.members, null);
  conversation.know(["me"]);
  assert.deepEqual(states(), ["delivered"]);
});

test("a notification to the user is not in the conversation with its sender", () => {
  const state = newState();
  const { raw } = talk();
  state.apply(raw("notification", "ann", { title: "Backup failed" }));
  assert.deepEqual(state.conversations, []);
  assert.equal(state.view("self").messages.length, 1);
});

test("an expired message is a tombstone", () => {
  const state = newState();
  const { raw } = talk("team");
  state.apply(raw("notification", "root", { title: "Soon over" }, { expires_at: 100 }));
  state.expire(99);
  assert.equal(state.summary("team").unread, 1);
  state.expire(100);
  assert.equal(state.summary("team").unread, 0);
  assert.equal(state.view("team").messages[0]?.deletedAt, 100);
});

test("missing seqs between the messages held are gaps", () => {
  const state = newState();
  const { say } = talk();
  const messages = Array.from({ length: 9 }, (_, at) => say("ann", String(at)));
  for (const at of [0, 1, 4, 5, 8]) state.apply(messages[at]);
  assert.deepEqual(state.view("ann").gaps, [{ fromSeq: 3, toSeq: 4 }, { fromSeq: 7, toSeq: 8 }]);
  state.page("ann", { messages: messages.slice(2, 4), has_more: true });
  assert.deepEqual(state.view("ann").gaps, [{ fromSeq: 7, toSeq: 8 }]);
});

// ---- unsent messages

test("an own message is shown exactly once, under one key, at every moment", () => {
  const state = newState();
  const { say } = talk();
  state.apply(say("ann", "Hi"));
  const mine = { type: "chat_message", payload: { content: "Hello" }, meta: { id: "x", target_id: "ann", timestamp: 2 } };
  const ack = { message_id: 9, seq: 2, timestamp: 5, duplicate: false };
  const steps = [
    () => state.sent(sent(mine), false),
    () => state.sent(sent(mine, ack), false),
    () => state.sent(sent(mine, ack, "delivered"), false),
    () => state.apply({ ...mine, meta: { ...mine.meta, ...ack, sender_id: "me", replay: true } }),
    () => state.sent(sent(mine), false),
  ];
  for (const step of steps) {
    step();
    const keys = state.view("ann").messages.map(({ key }) => key);
    assert.deepEqual(keys, ["m:1", "i:x"]);
    assert.equal(state.summary("ann").lastMessage?.payload.content, "Hello");
  }
  assert.equal(state.view("ann").messages[1]?.state, "sent");
});

test("an own message that a replay brings before its ack is shown once as well", () => {
  const state = newState();
  const mine = { type: "chat_message", payload: { content: "Hello" }, meta: { id: "x", target_id: "ann", timestamp: 2 } };
  state.sent(sent(mine), false);
  state.apply({ ...mine, meta: { ...mine.meta, message_id: 9, seq: 1, sender_id: "me", replay: true } });
  assert.deepEqual(state.view("ann").messages.map(({ seq }) => seq), [1]);
  state.sent(sent(mine, { message_id: 9, seq: 1, timestamp: 5, duplicate: true }), false);
  assert.deepEqual(state.view("ann").messages.map(({ seq }) => seq), [1]);
});

test("the late ack of a message does not undo an edit that came before it", () => {
  const state = newState();
  const mine = { type: "chat_message", payload: { content: "Hello" }, meta: { id: "x", target_id: "ann", timestamp: 2 } };
  state.sent(sent(mine), false);
  const stored = { ...mine, payload: { content: "Edited" }, meta: { ...mine.meta, message_id: 9, seq: 1, sender_id: "me", edited_at: 7, edit_id: 10 } };
  state.apply(stored);
  state.sent(sent(mine, { message_id: 9, seq: 1, timestamp: 5, duplicate: true }), false);
  assert.deepEqual(contents(state), ["Edited"]);
});

test("unsent messages keep the order in which they were written, and failed ones stay until they are discarded", () => {
  const state = newState();
  const [one, two] = ["1", "2"].map((content) => ({
    type: "chat_message", payload: { content }, meta: { id: content, target_id: "ann", timestamp: 2 },
  }));
  state.sent(sent(one), false);
  state.sent(sent(two), false);
  state.sent(sent(one, null, "failed"), false);
  assert.deepEqual(state.view("ann").messages.map(({ state: how, error }) => [how, error?.message]), [["failed", "refused"], ["queued", undefined]]);
  state.sent(sent(one, null, "failed"), true);
  assert.deepEqual(contents(state), ["2"]);
});

test("own edits, deletions and reactions show at once, and are undone when they are refused", () => {
  const state = newState();
  const { say } = talk();
  state.apply(say("me", "Hi", {}, { id: "a" }));
  const change = (/** @type {string} */ type, /** @type {any} */ payload) => ({
    type, payload: { message_id: 1, ...payload }, meta: { id: `${type}1`, target_id: "ann", timestamp: 9 },
  });
  const [edit, reaction, deletion] = [change("message_edit", { content: "Ho" }), change("reaction", { emoji: "👍", on: true }), change("message_delete", {})];
  state.sent(sent(edit), false);
  assert.deepEqual([contents(state), state.view("ann").messages[0]?.pending], [["Ho"], true]);
  state.sent(sent(edit, null, "failed"), false);
  assert.deepEqual([contents(state), state.view("ann").messages[0]?.pending], [["Hi"], false]);
  state.sent(sent(reaction), false);
  assert.equal(state.view("ann").messages[0]?.reactions.length, 1);
  state.sent(sent(reaction, { message_id: 5, timestamp: 5, duplicate: false }), false);
  assert.deepEqual(state.view("ann").messages[0]?.reactions, [{ emoji: "👍", userIds: ["me"], mine: true }]);
  assert.equal(state.view("ann").messages[0]?.pending, false);
  state.sent(sent(deletion), false);
  assert.deepEqual(contents(state), ["†"]);
  state.sent(sent(deletion, { message_id: 6, seq: 2, timestamp: 6, duplicate: false }), false);
  assert.deepEqual(contents(state), ["†"]);
});

test("an unsent receipt counts at once", () => {
  const state = newState();
  state.apply(talk().say("ann", "Hi"));
  state.sent(sent({ type: "read_receipt", payload: { up_to_seq: 1 }, meta: { id: "r", target_id: "ann" } }), false);
  assert.equal(state.summary("ann").unread, 0);
});

// ---- typing and statuses

test("typing ends by an event, by a message, and by itself", () => {
  const state = newState();
  const types = (typing = true, device = "1") => ({ type: "typing_indicator", payload: { typing }, meta: { sender_id: "ann", target_id: "me", client_id: device } });
  state.apply(types());
  assert.deepEqual(state.view("ann").typing, ["ann"]);
  state.apply(types(false));
  assert.deepEqual(state.view("ann").typing, []);
  state.apply(types());
  const { say } = talk();
  state.apply(say("ann", "Hi", {}, { client_id: "1" }));
  assert.deepEqual(state.typing.view("ann"), []);
  state.apply(types(true, "1"));
  state.apply(types(true, "2"));
  mock.timers.tick(7999);
  assert.deepEqual(state.typing.view("ann"), ["ann"]);
  mock.timers.tick(1);
  assert.deepEqual(state.typing.view("ann"), []);
});

test("a status is the last one received, and unknown before the first", () => {
  const state = newState();
  assert.equal(state.statuses.view("ann").status, "unknown");
  const unknown = state.statuses.view("ann");
  assert.equal(state.statuses.view("ann"), unknown);
  state.apply({ type: "status_update", payload: { status: "away", text: "lunch" }, meta: { sender_id: "ann", timestamp: 1 } });
  assert.deepEqual(state.statuses.view("ann"), { userId: "ann", status: "away", text: "lunch", until: null, lastSeen: null });
  assert.ok(touched.includes("presence:ann"));
  const ack = { timestamp: 1, duplicate: false, statuses: [{ user_id: "ben", status: "busy", text: null, until: null, last_seen: null }] };
  state.sent(sent({ type: "follow", payload: { user_ids: ["ben"], follow: true }, meta: { id: "f" } }, ack), false);
  assert.equal(state.statuses.view("ben").status, "busy");
});

// ---- a group that is over

test("a group that its user was removed from keeps its name, tells who did it, and shows nobody typing", () => {
  const state = newState();
  const { say, event, raw } = talk("g");
  const first = say("ann", "Hi");
  state.apply(first);
  state.row({ kind: "group", target_id: "g", name: "Design", role: "member", last_message: first, last_seq: 1, read_seq: 0, unread: 1, unread_mentions: 0 });
  const types = { type: "typing_indicator", payload: { typing: true }, meta: { sender_id: "ben", target_id: "g", client_id: "1" } };
  state.apply(types);
  assert.equal(state.view("g").over, null);
  state.apply(event("member_removed", { user_id: "me" }));
  const { over, name, kind, messages, typing, unread } = state.view("g");
  assert.deepEqual(over, { event: "member_removed", by: "ann", timestamp: 2 });
  assert.deepEqual([name, kind, messages, typing, unread], ["Design", "group", [], [], 0]);
  assert.deepEqual(state.conversations, []);
  state.apply({ ...types, meta: { ...types.meta, client_id: "2" } });
  assert.deepEqual(state.typing.view("g"), []);
  state.apply(event("member_added", { user_id: "me" }));
  assert.equal(state.view("g").over, null);
  state.apply(raw("group_event", "ben", { event: "deleted" }));
  assert.deepEqual([state.view("g").over?.event, state.view("g").over?.by], ["deleted", "ben"]);
});

test("an unsent message to a group that is over is still listed, and does not revive the group", () => {
  const state = newState();
  const { say, event } = talk("g");
  for (const envelope of [say("ann", "Hi"), event("member_removed", { user_id: "me" })]) state.apply(envelope);
  const mine = { type: "group_message", payload: { content: "Late" }, meta: { id: "x", target_id: "g", timestamp: 2 } };
  state.sent(sent(mine, null, "failed"), false);
  assert.deepEqual(state.conversations.map(({ target }) => target), ["g"]);
  assert.deepEqual(contents(state, "g"), ["Late"]);
  assert.equal(state.view("g").over?.event, "member_removed");
  state.sent(sent(mine, null, "failed"), true);
  assert.deepEqual(state.conversations, []);
});

// ---- any order

test("in whatever order events come, and twice, the same is shown", () => {
  for (let seed = 1; seed <= 60; seed += 1) {
    const random = randomOf(seed);
    const { say, edit, react, receipt, delete: remove } = talk();
    /** @type {any[]} */
    const log = [];
    for (let step = 0; step < 40; step += 1) {
      const messages = log.filter(({ type }) => type === "chat_message");
      const sender = random.pick(["me", "ann"]);
      const about = random.pick(messages.filter(({ meta }) => meta.sender_id === sender));
      const gone = about && log.some(({ type, payload }) => type === "message_delete" && payload.message_id === about.meta.message_id);
      const what = random.number();
      if (what < 0.5 || !about || gone) log.push(say(sender, `${step}`, {}, sender === "me" ? { id: `${step}` } : {}));
      else if (what < 0.65) log.push(withReplaces(log, edit(sender, about, `edit ${step}`)));
      else if (what < 0.75) log.push(remove(sender, about));
      else if (what < 0.9) log.push(react(sender, about, random.chance(0.6)));
      else log.push(receipt(sender, about.meta.seq));
    }
    const inOrder = newState();
    for (const envelope of log) inOrder.apply(envelope);
    const resumed = newState();
    const cut = Math.floor(random.number() * log.length);
    for (const envelope of log.slice(0, cut)) resumed.apply(envelope);
    const priorities = { chat_message: 20, message_edit: 30, message_delete: 30, reaction: 40, read_receipt: 40 };
    const replay = log.slice(Math.max(0, cut - 5)).sort(
      (one, other) => /** @type {any} */ (priorities)[one.type] - /** @type {any} */ (priorities)[other.type] || one.meta.message_id - other.meta.message_id,
    );
    for (const envelope of replay) {
      resumed.apply(envelope);
      if (random.chance(0.2)) resumed.apply(random.pick(replay));
    }
    assert.deepEqual(shown(resumed), shown(inOrder), `seed ${seed}`);
  }
});

/** @param {any[]} log @param {any} edit */
function withReplaces(log, edit) {
  const earlier = log.findLast(({ type, payload }) => type === "message_edit" && payload.message_id === edit.payload.message_id);
  if (earlier) edit.meta.replaces = earlier.meta.message_id;
  return edit;
}

/** @param {State} state */
function shown(state) {
  const { messages, receipts, unread } = state.view("ann");
  const drawn = messages.map(({ key, seq, payload, editedAt, deletedAt, reactions, state: how }) => ({
    key, seq, payload, editedAt, reactions, how, deleted: deletedAt !== null,
  }));
  return { drawn, receipts: Object.entries(receipts).sort(), unread };
}

test("latest values about a message come with it: the newest of each type, sender and key, newest last", () => {
  const state = newState();
  const team = talk("team");
  const task = team.raw("task", "ann", { text: "bread" });
  const about = task.meta.message_id;
  const done = (/** @type {string} */ sender, /** @type {any} */ payload, meta = {}) => team.raw("task_done", sender, payload, { seq: null, ...meta });
  state.apply(task);
  state.apply(done("ann", { message_id: about, done: true }));
  const first = state.view("team").messages[0];
  const values = () => state.view("team").messages[0].latest.map(({ senderId, payload }) => [senderId, payload.done ?? payload.item]);
  assert.deepEqual(values(), [["ann", true]]);
  const older = done("bob", { message_id: about, done: true });
  state.apply(done("bob", { message_id: about, done: false }));
  state.apply(older); // a resume may bring it later
  state.apply(done("ann", { message_id: about, done: false }));
  assert.deepEqual(values(), [["bob", false], ["ann", false]]);
  assert.deepEqual(first.latest.map(({ payload }) => payload.done), [true]); // a view never changes
  for (const item of ["a", "b"]) state.apply(done("bob", { poll: about, item }, { about, key: `${about} ${item}` }));
  assert.deepEqual(values(), [["bob", false], ["ann", false], ["bob", "a"], ["bob", "b"]]);
  const again = state.view("team").messages[0];
  state.apply(done("bob", { other: 1 })); // about no message
  assert.equal(state.view("team").messages[0], again);
  state.apply(team.delete("ann", task));
  assert.deepEqual(values(), []);
});

test("an own latest value is there with its ack, which says what it is about", () => {
  const state = newState();
  const ann = talk();
  const poll = ann.raw("poll", "ann", { question: "Lunch?" });
  state.apply(poll);
  const vote = { type: "poll_vote", payload: { poll: 1, choices: [0] }, meta: { id: "v", target_id: "ann" } };
  state.sent(/** @type {any} */ (sent(vote)), false);
  assert.deepEqual(state.view("ann").messages[0].latest, []);
  state.sent(/** @type {any} */ (sent(vote, { message_id: 9, about: 1, timestamp: 9, duplicate: false })), false);
  assert.deepEqual(state.view("ann").messages[0].latest.map(({ type, mine, payload }) => [type, mine, payload.choices]), [["poll_vote", true, [0]]]);
});

test("a page of history brings the latest values of its messages, before or after them", () => {
  const state = newState();
  const ann = talk();
  const poll = ann.raw("poll", "ann", { question: "Lunch?" });
  const result = ann.raw("poll_result", "ann", { poll: 1, votes: [1] }, { seq: null, about: 1 });
  state.page("ann", { messages: [poll], latest: [result], has_more: false }, { older: true });
  assert.deepEqual(state.view("ann").messages[0].latest.map(({ payload }) => payload.votes), [[1]]);
});

test("the list of conversations brings the latest values about its last message", () => {
  const state = newState();
  const ann = talk();
  const poll = ann.raw("poll", "ann", { question: "Lunch?" });
  const result = ann.raw("poll_result", "ann", { poll: 1, votes: [1] }, { seq: null, about: 1 });
  state.row(row({ last_seq: 1, unread: 1, last_message: poll, latest: [result] }));
  assert.deepEqual(state.summary("ann").lastMessage?.latest.map(({ payload }) => payload.votes), [[1]]);
});

test("a Set of types may grow: of those that are shown unsent, and of those that count as unread", () => {
  const [echoed, counted] = [new Set(["chat_message"]), new Set(["chat_message"])];
  const state = new State("me", () => {}, { echoed, counted, most: () => 300 });
  const ann = talk();
  state.apply(ann.say("ann", "hello"));
  for (const types of [echoed, counted]) types.add("task");
  state.apply(ann.raw("task", "ann", { text: "bread" }));
  assert.equal(state.view("ann").unread, 2);
  const own = { type: "task", payload: { text: "milk" }, meta: { id: "t", target_id: "ann" } };
  state.sent(/** @type {any} */ (sent(own)), false);
  assert.deepEqual(state.view("ann").messages.at(-1)?.payload, { text: "milk" });
});

test("a message's actions come with what became of them and with one's own answer", () => {
  const state = newState();
  const team = talk("team");
  const elements = [{ type: "button", id: "yes", label: "Yes" }];
  const asked = team.say("ann", "May I?", { actions: { elements, once: "message" } });
  const about = { seq: null, about: 1 };
  const told = (/** @type {any} */ more) => state.apply(team.raw("action_state", "ann", { message_id: 1, ...more }, about));
  const view = () => /** @type {any} */ (state.view("team").messages[0].actions);
  state.apply(asked);
  assert.deepEqual(view(), {
    elements, once: "message", for: "everyone", answers: 0, closed: false, closedBy: null, outcome: null, mine: null,
  });
  told({ answers: 1, closed_at: 5, closed_by: "me" });
  state.apply(team.raw("action_answer", "me", { message_id: 1, action: "yes" }, about));
  assert.deepEqual([view().answers, view().closed, view().closedBy, view().mine.action], [1, true, "me", "yes"]);
  told({ answers: 0, round: 1, outcome: "again", actions: { elements: [{ type: "button", id: "no", label: "No" }] } });
  assert.deepEqual([view().elements[0].id, view().once, view().closed, view().outcome, view().mine], ["no", "user", false, "again", null]);
});

test("an edit replaces a message's actions, or leaves them, or takes them away", () => {
  const state = newState();
  const team = talk("team");
  const actions = (/** @type {string[]} */ ...ids) => ({ elements: ids.map((id) => ({ type: "button", id, label: id })) });
  const shown = () => state.view("team").messages[0].actions?.elements.map(({ id }) => id) ?? null;
  const edit = (/** @type {any} */ more) => state.apply(team.raw("message_edit", "ann", { message_id: 1, content: "So?", ...more }));
  state.apply(team.say("ann", "So", { actions: actions("a") }));
  edit({});
  assert.deepEqual(shown(), ["a"]);
  edit({ actions: actions("b", "c") });
  assert.deepEqual(shown(), ["b", "c"]);
  edit({ actions: actions() });
  assert.equal(shown(), null);
});

test("answers and commands for programs are no rows", () => {
  const state = newState();
  const mine = talk();
  const own = (/** @type {string} */ type) => state.apply(mine.raw(type, "ann", { message_id: 1, action: "yes" }, { target_id: undefined }));
  own("action");
  own("slash_command");
  own("notification");
  assert.deepEqual(state.view("self").messages.map(({ type }) => type), ["notification"]);
});

test("a receipt changes the messages that it passed, and no others", () => {
  const state = newState();
  const ann = talk();
  for (let number = 0; number < 6; number += 1) state.apply(ann.say("me", String(number)));
  state.apply(ann.receipt("ann", 4));
  const before = state.view("ann").messages;
  assert.deepEqual(before.map((one) => one.state), ["read", "read", "read", "read", "sent", "sent"]);
  state.apply(ann.receipt("ann", 5));
  const after = state.view("ann").messages;
  assert.deepEqual(after.map((one, at) => one === before[at]), [true, true, true, true, false, true]);
});

test("a gap of which the server has nothing is none", () => {
  const state = newState();
  const ann = talk();
  const all = [...Array(9).keys()].map((number) => ann.say("ann", String(number)));
  const page = (/** @type {number[]} */ ...seqs) => ({ messages: all.filter(({ meta }) => seqs.includes(meta.seq ?? 0)), has_more: true });
  state.page("ann", page(8, 9), { older: true });
  state.page("ann", page(1, 2), { bounds: {} });
  assert.deepEqual(state.view("ann").gaps, [{ fromSeq: 3, toSeq: 7 }]);
  state.page("ann", page(5), { bounds: { before: 8 } }); // 6 and 7 are gone
  assert.deepEqual(state.view("ann").gaps, [{ fromSeq: 3, toSeq: 4 }]);
  state.page("ann", page(), { bounds: { after: 2, before: 5 } });
  assert.deepEqual(state.view("ann").gaps, []);
});

test("messages that come in any order stand in that of their seqs", () => {
  const state = newState(4);
  const ann = talk();
  const all = [...Array(70).keys()].map((number) => ann.say("ann", String(number)));
  for (const at of [5, 2, 3, 0, 4, 1]) state.apply(all[at]);
  assert.deepEqual(contents(state), ["0", "1", "2", "3", "4", "5"]);
  for (const envelope of all.slice(6)) state.apply(envelope);
  state.trim("ann");
  assert.deepEqual(contents(state), ["66", "67", "68", "69"]);
  assert.equal(state.oldestSeq("ann"), 67);
});
