/** Uploads and downloads on the real server: progress, cuts, restarts, refusals. */

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { RestApiClient, memoryStorage } from "../../../relay/web/sdk/index.js";
import { fileStorage, openFile } from "../../../relay/web/sdk/node.js";
import { Device, UNLIMITED, until } from "../support/devices.js";
import { Server } from "../support/server.js";

/** @type {Server} */
let server;
/** @type {Record<string, string>} */
let tokens;
/** @type {RestApiClient} */
let bob;

before(async () => {
  server = await new Server({ ...UNLIMITED, attachments: { max_bytes: 4_000_000 } }).start();
  tokens = await server.users("alice", "bob");
  bob = new RestApiClient(server.url, tokens.bob);
});

after(() => server?.close());

function alice(options = {}) {
  return new Device(server.url, tokens.alice ?? "", { socket: options });
}

/** @param {number} size */
function bytes(size) {
  return new Uint8Array(size).map((_, at) => at % 251);
}

/** The last message to bob. */
async function last() {
  return (await bob.getUserMessages("alice", { limit: 1 })).messages[0]?.payload;
}

/** Cut every upload, until the returned function is called. */
function cutting() {
  const line = { cut: true, cuts: 0, fetch: /** @type {typeof fetch} */ (globalThis.fetch) };
  line.fetch = /** @type {any} */ (
    async (/** @type {string} */ url, /** @type {any} */ init) => {
      if (!line.cut || !url.includes("/api/attachments")) return fetch(url, init);
      const reader = init.body.getReader();
      await reader.read();
      await reader.cancel();
      line.cuts += 1;
      throw new TypeError("fetch failed");
    }
  );
  return line;
}

test("a file is uploaded and downloaded whole, with progress", async () => {
  const rest = new RestApiClient(server.url, tokens.alice);
  /** @type {[number, number][]} */
  const up = [];
  const content = bytes(3_000_000);
  const kept = await rest.uploadAttachment(new File([content], "ärger.bin"), { onProgress: (...step) => up.push(step) });
  assert.deepEqual([kept.name, kept.size], ["ärger.bin", 3_000_000]);
  assert.ok(up.length > 3, "in steps");
  assert.deepEqual(up.map(([loaded]) => loaded), up.map(([loaded]) => loaded).sort((one, other) => one - other));
  assert.deepEqual(up.at(-1), [3_000_000, 3_000_000]);
  /** @type {[number, number][]} */
  const down = [];
  const file = await rest.downloadAttachment(kept.attachment_id, { onProgress: (...step) => down.push(step) });
  assert.equal(file.name, "ärger.bin");
  assert.equal(Buffer.compare(Buffer.from(await file.arrayBuffer()), content), 0);
  assert.deepEqual(down.at(-1), [3_000_000, 3_000_000]);
});

test("an empty file can be uploaded", async () => {
  const rest = new RestApiClient(server.url, tokens.alice);
  const kept = await rest.uploadAttachment(new Blob([]), { name: "empty" });
  assert.equal(kept.size, 0);
  assert.equal((await rest.downloadAttachment(kept.attachment_id)).size, 0);
});

test("an aborted signal ends an upload", async () => {
  const ending = new AbortController();
  const rest = new RestApiClient(server.url, tokens.alice);
  const onProgress = () => ending.abort();
  const upload = rest.uploadAttachment(new Blob([bytes(3_000_000)]), { onProgress, signal: ending.signal });
  await assert.rejects(upload, { name: "AbortError" });
});

test("the token provider is called for another token when an upload is refused", async () => {
  const reasons = /** @type {string[]} */ ([]);
  const rest = new RestApiClient(server.url, ({ reason }) => {
    reasons.push(reason);
    return reason === "refused" ? (tokens.alice ?? "") : "rly_old";
  });
  assert.equal((await rest.uploadAttachment(new Blob(["a"]))).size, 1);
  assert.deepEqual(reasons, ["first", "refused"]);
});

test("a message uploads its files, among ids and paths", async () => {
  const device = await alice().connect();
  const path = join(server.folder, "note.txt");
  writeFileSync(path, "from the disk");
  const id = (await device.messaging.uploadAttachment(new File(["1"], "one.txt"))).attachment_id;
  /** @type {number[]} */
  const steps = [];
  const sent = device.messaging.sendPrivateMessage("bob", "three", [id, new File(["22"], "two.txt"), { path }]);
  assert.equal(sent.state, "uploading");
  assert.deepEqual(device.store.conversation("bob").messages.map(({ state }) => state), ["uploading"]);
  const files = () => device.store.conversation("bob").messages[0]?.files ?? [];
  const described = (/** @type {number} */ at) => [files()[at]?.name, files()[at]?.size, files()[at]?.described];
  assert.deepEqual([files()[0]?.attachmentId, described(0)], [id, ["", 0, false]], "one that others uploaded");
  assert.deepEqual([files()[1]?.attachmentId, files()[1]?.progress, described(1)], [null, 0, ["two.txt", 2, true]]);
  assert.deepEqual(described(2), ["note.txt", 0, true]);
  sent.onChange((message) => steps.push(/** @type {any} */ (message).progress));
  const { message_id: messageId } = await sent;
  const [, two = "", three = ""] = (await last())?.attachments ?? [];
  assert.equal((await bob.getAttachment(two)).name, "two.txt");
  assert.equal(await (await bob.downloadAttachment(three)).text(), "from the disk");
  assert.equal(steps.at(-1), 1);
  const [shown, ...others] = device.store.conversation("bob").messages;
  assert.deepEqual([shown?.messageId, shown?.key, others], [messageId, `i:${sent.id}`, []]);
  assert.deepEqual([files()[1]?.attachmentId, files()[1]?.progress, described(1)], [two, null, ["two.txt", 2, true]]);
  assert.equal(await files()[1]?.blob?.text(), "22", "it needs no download here");
  assert.deepEqual((await last())?.files?.map(({ name, type, size }) => [name, type, size]), [
    ["one.txt", "text/plain", 1],
    ["two.txt", "text/plain", 2],
    ["note.txt", "text/plain", 13],
  ]);
  await device.close();
});

test("a message whose upload is cut is uploaded again, and is shown exactly once at every moment", async () => {
  const line = cutting();
  const device = await alice({ fetch: line.fetch }).connect();
  await device.store.loadOlder("bob");
  const before = device.store.conversation("bob").messages.length;
  /** @type {Set<number>} */
  const counts = new Set();
  device.store.subscribe("conversation:bob", () => counts.add(device.store.conversation("bob").messages.length - before));
  const sent = device.messaging.sendPrivateMessage("bob", "cut", [new File([bytes(200_000)], "cut.bin")]);
  await until(() => line.cuts === 2, "two cuts");
  line.cut = false;
  await sent;
  await until(() => device.store.conversation("bob").messages.at(-1)?.state !== "uploading", "its place");
  assert.deepEqual([...counts], [1]);
  assert.equal((await last())?.content, "cut");
  await device.close();
});

test("a message whose upload was cut by the end of the page is sent by the next page, once", async () => {
  const storage = memoryStorage();
  const line = cutting();
  const first = await alice({ fetch: line.fetch, storage }).connect();
  first.messaging.sendPrivateMessage("bob", "kept", [new File(["kept bytes"], "kept.txt")], { id: "kept-1" });
  await until(() => line.cuts > 0, "a cut");
  await first.close();
  assert.notEqual((await last())?.content, "kept");
  const second = alice({ storage });
  const [sent] = await until(() => second.messaging.outgoing.length > 0 && second.messaging.outgoing, "what was kept");
  assert.equal(sent?.id, "kept-1");
  await second.connect();
  await sent;
  const { content, attachments: [id = ""] = [] } = (await last()) ?? {};
  assert.equal(content, "kept");
  assert.equal(await (await bob.downloadAttachment(id)).text(), "kept bytes");
  await until(async () => (await second.socket.storage.getAll("uploads/")).length === 0, "nothing left of it");
  await second.close();
});

test("a path is kept over the end of a process, in a storage of JSON", async () => {
  const path = join(server.folder, "path.txt");
  writeFileSync(path, "by its path");
  const folder = join(server.folder, "state");
  const line = cutting();
  const first = await alice({ fetch: line.fetch, storage: fileStorage(folder) }).connect();
  first.messaging.sendPrivateMessage("bob", "path", [{ path }]);
  first.messaging.sendPrivateMessage("bob", "blob", [new Blob(["a Blob is not kept there"])]);
  await until(() => line.cuts > 1, "cuts");
  await first.close();
  await first.socket.storage.close();
  const second = alice({ storage: fileStorage(folder) });
  const kept = await until(() => second.messaging.outgoing.length > 0 && second.messaging.outgoing, "what was kept");
  assert.deepEqual(kept.map(({ envelope }) => envelope.payload.content), ["path"]);
  await second.connect();
  await kept[0];
  const { attachments: [id = ""] = [] } = (await last()) ?? {};
  assert.equal(await (await bob.downloadAttachment(id)).text(), "by its path");
  await second.close();
  await second.socket.storage.close();
});

test("a message with a refused file fails visibly, and can be retried or discarded", async () => {
  const device = await alice().connect();
  const sent = device.messaging.sendPrivateMessage("bob", "too large", [new Blob([bytes(4_000_001)])]);
  await assert.rejects(sent, { code: "too_large" });
  const shown = () => device.store.conversation("bob").messages.at(-1);
  assert.deepEqual([shown()?.state, shown()?.error?.name], ["failed", "RelayError"]);
  await device.messaging.retryMessage(sent.id);
  await until(() => shown()?.state === "uploading" || sent.state === "failed", "another try");
  await until(() => sent.state === "failed", "the same refusal");
  await device.messaging.discardMessage(sent.id);
  assert.equal(device.messaging.outgoing.length, 0);
  assert.notEqual(shown()?.payload.content, "too large");
  await device.close();
});

test("files that the storage refuses are uploaded all the same, and that is reported once", async () => {
  const storage = memoryStorage();
  const { apply } = storage;
  storage.apply = async (batch) => {
    const refused = batch.some(([kind, , value]) => kind === "put" && value.files?.some((/** @type {unknown} */ file) => file instanceof Blob));
    if (refused) throw new DOMException("Error preparing Blob/File data to be stored in object store", "DataCloneError");
    return apply(batch);
  };
  const device = await alice({ storage }).connect();
  for (const content of ["first", "second"]) await device.messaging.sendPrivateMessage("bob", content, [new Blob([content])]);
  const { content, attachments: [id = ""] = [] } = (await last()) ?? {};
  assert.deepEqual([content, await (await bob.downloadAttachment(id)).text()], ["second", "second"]);
  assert.deepEqual(device.faults.map(({ name }) => name), ["DataCloneError"]);
  await device.close();
});

test("a failed message with files that was discarded does not come back with the next page", async () => {
  const storage = memoryStorage();
  const first = await alice({ storage }).connect();
  const sent = first.messaging.sendPrivateMessage("nobody", "dropped", [new Blob(["x"])]);
  await assert.rejects(sent, { code: "not_found" });
  await first.messaging.discardMessage(sent.id);
  await until(async () => (await storage.getAll("")).every(([key]) => !key.includes("uploads/")), "nothing left of it");
  await first.close();
});

test("with a signal that was aborted before, neither the message nor its files are sent", async () => {
  const device = await alice().connect();
  const signal = AbortSignal.abort();
  await assert.rejects(device.messaging.sendPrivateMessage("bob", "aborted", [new Blob(["x"])], { signal }), { name: "AbortError" });
  assert.equal(device.messaging.outgoing.length, 0);
  await device.close();
});

test("a path that does not exist fails the message, and the error names it", async () => {
  const device = await alice().connect();
  const path = join(server.folder, "none.png");
  await assert.rejects(device.messaging.sendPrivateMessage("bob", "", [{ path }]), { message: `'${path}' cannot be read: there is no such file` });
  await device.close();
});

test("a message can be cancelled while its files are uploaded", async () => {
  const line = cutting();
  const device = await alice({ fetch: line.fetch }).connect();
  const ending = new AbortController();
  const sent = device.messaging.sendPrivateMessage("bob", "never", [new Blob(["x"])], { signal: ending.signal });
  await until(() => line.cuts > 0, "a cut");
  ending.abort();
  await assert.rejects(sent, { name: "AbortError" });
  line.cut = false;
  assert.equal(device.messaging.outgoing.length, 0);
  assert.equal(device.store.conversation("bob").messages.some(({ payload }) => payload.content === "never"), false);
  await device.close();
});

test("openFile names a file by its path or by the name given; a missing file is an error", async () => {
  const path = join(server.folder, "named.txt");
  writeFileSync(path, "x");
  assert.equal((await openFile(path)).name, "named.txt");
  const named = await openFile({ path, name: "other.txt", type: "text/plain" });
  assert.deepEqual([named.name, named.type, await named.text()], ["other.txt", "text/plain", "x"]);
  await assert.rejects(openFile(join(server.folder, "none")), { code: "ENOENT", message: /none' cannot be read: there is no such file/ });
  const rest = new RestApiClient(server.url, tokens.alice);
  await assert.rejects(rest.uploadAttachment(/** @type {any} */ ("a string")), /file is 'a string'; right is a File, a Blob or, in Node, {path}/);
});
