/** The rules of drafts: what is kept when, and what becomes of it. */

import assert from "node:assert/strict";
import { afterEach, test } from "node:test";

import { memoryStorage } from "../../../relay/web/sdk/index.js";
import { Drafts } from "../../../relay/web/sdk/store/drafts.js";
import { until } from "../support/devices.js";

/** @type {Drafts[]} */
const opened = [];

afterEach(() => opened.splice(0).forEach((drafts) => drafts.close()));

/**
 * A page with drafts, on a storage that outlives it.
 *
 * @param {any} storage
 * @param {any} [options]
 */
function page(storage, { state = "queued", ...options } = {}) {
  /** @type {any[]} */
  const sent = [];
  /** @type {string[]} */
  const rested = [];
  const send = (/** @type {string} */ kind) => (/** @type {string} */ target, /** @type {string} */ content, /** @type {any} */ files, /** @type {any} */ options) => {
    sent.push({ kind, target, content, files, ...options, state });
    return sent.at(-1);
  };
  const messaging = {
    sendPrivateMessage: send("user"),
    sendGroupMessage: send("group"),
    socketManager: { storage, opened: Promise.resolve(), report: (/** @type {unknown} */ fault) => assert.fail(String(fault)) },
  };
  const host = { changed: () => {}, rested: (/** @type {string} */ target) => rested.push(target) };
  const drafts = new Drafts(/** @type {any} */ (messaging), host, { delay: 1, ...options });
  opened.push(drafts);
  return { drafts, sent, rested };
}

/** @param {any} storage @param {string} target @param {(record: any) => boolean} is */
async function stored(storage, target, is) {
  await until(async () => is(await storage.get(`drafts/${target}`)), "the draft is stored so");
}

test("a draft with its files, its answer and an edit beside it outlives the page", async () => {
  const storage = memoryStorage();
  const { drafts, rested } = page(storage);
  drafts.set("bob", { text: "half", files: [new File(["abc"], "a.txt")], replyTo: 7, edit: { messageId: 3, text: "changed" } });
  await stored(storage, "bob", (record) => record?.text === "half");
  assert.deepEqual(rested, ["bob"]);
  await until(() => storage.get("draft-files/bob"), "the files are stored");
  const later = page(storage).drafts;
  await later.ready;
  const { text, files, replyTo, edit } = later.get("bob");
  assert.deepEqual([text, replyTo, edit], ["half", 7, { messageId: 3, text: "changed" }]);
  assert.equal(await files[0].text(), "abc");
  assert.deepEqual({ ...later.summary("bob"), at: 0 }, { text: "half", files: 1, at: 0 });
});

test("files above the bound are held as long as the page, and the text is stored all the same", async () => {
  const storage = memoryStorage();
  const { drafts } = page(storage, { fileBytes: 2 });
  drafts.set("bob", { text: "see", files: [new File(["abc"], "a.txt")] });
  await stored(storage, "bob", (record) => record?.text === "see");
  assert.equal(await storage.get("draft-files/bob"), undefined);
  assert.equal(drafts.get("bob").files.length, 1);
});

test("a draft that becomes empty leaves nothing in the storage", async () => {
  const storage = memoryStorage();
  const { drafts } = page(storage);
  drafts.set("bob", { text: "half" });
  await stored(storage, "bob", (record) => record?.text === "half");
  drafts.set("bob", { text: "" });
  await stored(storage, "bob", (record) => record === undefined);
  assert.equal(drafts.summary("bob"), null);
});

test("a draft that is sent stays stored until its message is, and an edit beside it stays", async () => {
  const storage = memoryStorage();
  const { drafts, sent } = page(storage);
  drafts.set("team", { text: " half ", replyTo: 7, edit: { messageId: 3, text: "changed" } });
  await stored(storage, "team", (record) => record?.text === " half ");
  drafts.send("team", "group", { mentions: ["ann"] });
  assert.deepEqual([sent[0].kind, sent[0].content, sent[0].replyTo, sent[0].mentions], ["group", "half", 7, ["ann"]]);
  assert.deepEqual([drafts.get("team").text, drafts.get("team").edit], ["", { messageId: 3, text: "changed" }]);
  drafts.set("team", { text: "the next one" });
  await new Promise((resolve) => setTimeout(resolve, 30));
  assert.equal((await storage.get("drafts/team")).text, " half ");
  await storage.apply([["put", `outbox/1/${sent[0].id}`, {}]]);
  await stored(storage, "team", (record) => record.text === "the next one" && record.id !== sent[0].id);
});

test("a draft whose message the outbox, the uploads or the server has is not there after a crash", async () => {
  for (const key of ["outbox/1/X", "uploads/X"]) {
    const storage = memoryStorage();
    await storage.apply([["put", "drafts/bob", { id: "X", text: "said", replyTo: null, edit: null, at: 1 }], ["put", key, {}]]);
    const { drafts } = page(storage);
    await drafts.ready;
    assert.equal(drafts.get("bob").text, "");
    await stored(storage, "bob", (record) => record === undefined);
  }
  const storage = memoryStorage();
  await storage.apply([["put", "drafts/bob", { id: "X", text: "said", replyTo: null, edit: null, at: 1 }]]);
  const { drafts, sent } = page(storage);
  await drafts.ready;
  assert.equal(drafts.get("bob").text, "said");
  drafts.arrived("bob", "Y");
  assert.equal(drafts.get("bob").text, "said");
  drafts.send("bob", "user", {});
  assert.equal(sent[0].id, "X", "the server stores it once, if it has it already");
  drafts.set("bob", { text: "next" });
  drafts.arrived("bob", drafts.get("bob").id);
  assert.equal(drafts.get("bob").text, "");
});

test("a message that the outbox cannot take stays a draft", () => {
  const { drafts } = page(memoryStorage(), { state: "failed" });
  drafts.set("bob", { text: "half" });
  drafts.send("bob", "user", {});
  assert.equal(drafts.get("bob").text, "half");
});

test("what is written before the storage is read comes behind the stored draft", async () => {
  const storage = memoryStorage();
  await storage.apply([["put", "drafts/bob", { id: "X", text: "begun ", replyTo: 7, edit: null, at: 1 }]]);
  const { drafts } = page(storage);
  drafts.set("bob", { text: "and on" });
  await drafts.ready;
  assert.deepEqual([drafts.get("bob").text, drafts.get("bob").replyTo], ["begun and on", 7]);
  await stored(storage, "bob", (record) => record.text === "begun and on");
});

test("what is added to a draft that was sent before the page ended stays, without what was sent", async () => {
  for (const early of [true, false]) {
    const storage = memoryStorage();
    const before = { id: "sent-1", text: "said ", files: [], replyTo: null, edit: null, at: 1 };
    await storage.apply([["put", "drafts/bob", before]]);
    const { drafts } = page(storage);
    if (early) drafts.set("bob", { text: "more" });
    await drafts.ready;
    assert.equal(drafts.get("bob").text, early ? "said more" : "said ");
    if (!early) drafts.set("bob", { text: "said more" });
    assert.notEqual(drafts.get("bob").id, "sent-1", "an id is one message's");
    drafts.arrived("bob", "sent-1");
    assert.equal(drafts.get("bob").text, "more");
    drafts.arrived("bob", "sent-1");
    assert.equal(drafts.get("bob").text, "more");
    await stored(storage, "bob", (record) => record?.text === "more");
  }
});

test("what is written anew in the place of a draft is whole, though that one had been sent", async () => {
  const storage = memoryStorage();
  await storage.apply([["put", "drafts/bob", { id: "sent-1", text: "a", files: [], replyTo: null, edit: null, at: 1 }]]);
  const { drafts } = page(storage);
  await drafts.ready;
  drafts.set("bob", { text: "" });
  drafts.set("bob", { text: "another" });
  drafts.arrived("bob", "sent-1");
  assert.equal(drafts.get("bob").text, "another");
});

test("tabs show what another one wrote, unless they are writing themselves", async () => {
  const storage = memoryStorage();
  /** @type {any[]} */
  const channels = [];
  class Channel {
    onmessage = (/** @type {any} */ _) => {};
    constructor() {
      channels.push(this);
    }
    /** @param {any} data */
    postMessage(data) {
      for (const other of channels) if (other !== this) other.onmessage({ data });
    }
    close() {}
  }
  const [first, second] = [page(storage, { Channel }), page(storage, { Channel, delay: 60_000 })];
  first.drafts.set("bob", { text: "by the first" });
  await until(() => second.drafts.get("bob").text === "by the first", "the second tab shows it");
  second.drafts.set("bob", { text: "by the second" });
  first.drafts.set("bob", { text: "by the first again" });
  await stored(storage, "bob", (record) => record.text === "by the first again");
  assert.equal(second.drafts.get("bob").text, "by the second");
  second.drafts.flush();
  await until(() => first.drafts.get("bob").text === "by the second", "the last one wins");
  second.drafts.set("bob", { text: "" });
  second.drafts.flush();
  await until(() => first.drafts.get("bob").text === "", "it is over in both");
});

test("what is sent before it was written is written first, as the outbox may have to wait for its turn", async () => {
  const storage = memoryStorage();
  const { drafts, sent } = page(storage, { delay: 60_000 });
  await drafts.ready;
  drafts.set("bob", { text: "at once" });
  drafts.send("bob", "user", {});
  await stored(storage, "bob", (record) => record?.text === "at once" && record.id === sent[0].id);
});

test("nothing is written after the end", async () => {
  const storage = memoryStorage();
  const { drafts, sent } = page(storage);
  drafts.set("bob", { text: "half" });
  drafts.send("bob", "user", {});
  drafts.set("bob", { text: "more" });
  drafts.close();
  await storage.apply([["put", `outbox/1/${sent[0].id}`, {}]]);
  await new Promise((resolve) => setTimeout(resolve, 30));
  const { id, text } = /** @type {any} */ (await storage.get("drafts/bob"));
  assert.deepEqual({ id, text }, { id: sent[0].id, text: "half" }, "of before the end, and the next page knows that it was sent");
});
