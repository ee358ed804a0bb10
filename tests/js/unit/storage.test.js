import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { appendFile, mkdtemp, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { IDBFactory, IDBKeyRange } from "fake-indexeddb";

import { indexedDBStorage, memoryStorage } from "../../../relay/web/sdk/index.js";
import { autoStorage } from "../../../relay/web/sdk/storage/auto.js";
import { Persistence } from "../../../relay/web/sdk/persistence.js";
import { fileStorage } from "../../../relay/web/sdk/node.js";
import { scopedStorage } from "../../../relay/web/sdk/storage/scoped.js";

import { settle } from "../fakes/clock.js";

let folder;
let files = 0;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "relay-sdk-"));
  globalThis.IDBKeyRange = IDBKeyRange;
});

after(async () => {
  await rm(folder, { recursive: true });
  delete globalThis.IDBKeyRange;
});

const fresh = () => join(folder, `storage-${(files += 1)}`, "relay.journal");

const kinds = {
  memory: async () => memoryStorage(),
  indexeddb: async () => indexedDBStorage({ indexedDB: new IDBFactory() }),
  file: async () => fileStorage(fresh()),
  scoped: async () => scopedStorage(async () => memoryStorage(), "name/"),
};

for (const [kind, open] of Object.entries(kinds)) {
  test(`${kind}: what was put is found, and what was deleted is not`, async () => {
    const storage = await open();
    await storage.apply([["put", "a", { one: [1, null, "ü"] }], ["put", "b", 2], ["put", "c", 3]]);
    await storage.apply([["delete", "b"], ["put", "c", "three"], ["delete", "nothing"]]);
    assert.deepEqual(await storage.get("a"), { one: [1, null, "ü"] });
    assert.equal(await storage.get("b"), undefined);
    assert.equal(await storage.get("c"), "three");
    await storage.close();
  });

  test(`${kind}: getAll gives the keys with a prefix, in their order, and no others`, async () => {
    const storage = await open();
    await storage.apply(["x/2", "x/10", "x", "y/1", "x/1"].map((key) => ["put", key, key]));
    assert.deepEqual(await storage.getAll("x/"), ["x/1", "x/10", "x/2"].map((key) => [key, key]));
    await storage.close();
  });

  test(`${kind}: what was put does not change with what the caller holds`, async () => {
    const storage = await open();
    const value = { list: [1] };
    await storage.apply([["put", "a", value]]);
    value.list.push(2);
    (await storage.get("a")).list.push(3);
    assert.deepEqual(await storage.get("a"), { list: [1] });
    await storage.close();
  });
}

test("indexeddb: a batch with a value that cannot be stored changes nothing", async () => {
  const storage = await kinds.indexeddb();
  await assert.rejects(storage.apply([["put", "a", 1], ["put", "b", () => {}]]), { name: "DataCloneError" });
  assert.equal(await storage.get("a"), undefined);
  await storage.apply([["put", "a", 2]]);
  assert.equal(await storage.get("a"), 2);
});

test("indexeddb: a database that the browser closed is opened again", async () => {
  const indexedDB = new IDBFactory();
  const storage = await indexedDBStorage({ indexedDB });
  await storage.apply([["put", "a", 1]]);
  await new Promise((resolve, reject) => {
    const request = indexedDB.deleteDatabase("relay-sdk"); // as when a person clears the site's data
    Object.assign(request, { onsuccess: resolve, onerror: reject, onblocked: reject });
  });
  await storage.apply([["put", "b", 2]]);
  assert.equal(await storage.get("b"), 2);
  assert.equal(await storage.get("a"), undefined);
});

/** An IndexedDB of which some requests never answer. */
class Silent extends IDBFactory {
  opens = true;
  answers = true;

  open(...call) {
    if (!this.opens) return {}; // nothing is ever told
    const request = super.open(...call);
    request.addEventListener("success", () => {
      const { result } = request;
      const transaction = result.transaction.bind(result);
      result.transaction = (...wanted) => (this.answers ? transaction(...wanted) : { objectStore: () => ({ put() {}, get() {}, count() {} }), abort() {} });
    });
    return request;
  }
}

for (const [what, spoil] of Object.entries({
  "when it is opened": (silent) => (silent.opens = false),
  "after it was opened": (silent) => (silent.answers = false),
})) {
  test(`auto: memory takes the place of an IndexedDB that says nothing ${what}, which is told once`, async (context) => {
    context.mock.timers.enable({ apis: ["setTimeout"] });
    globalThis.indexedDB = new Silent();
    context.after(() => delete globalThis.indexedDB);
    spoil(globalThis.indexedDB);
    const faults = [];
    const opening = autoStorage((fault) => faults.push(fault));
    await settle();
    context.mock.timers.tick(5000);
    const storage = await opening;
    assert.deepEqual(faults.map(({ name }) => name), ["TimeoutError"]);
    await storage.apply([["put", "a", 1]]);
    assert.equal(await storage.get("a"), 1);
    assert.equal(faults.length, 1);
  });
}

test("auto: when IndexedDB stops answering, memory takes its place, and nothing waits twice", async (context) => {
  globalThis.indexedDB = new Silent();
  context.after(() => delete globalThis.indexedDB);
  const faults = [];
  const storage = await autoStorage((fault) => faults.push(fault));
  await storage.apply([["put", "kept", 1]]);
  context.mock.timers.enable({ apis: ["setTimeout"] });
  globalThis.indexedDB.answers = false;
  const writes = Promise.all([storage.apply([["put", "a", 1]]), storage.apply([["put", "b", 2]])]);
  await settle();
  context.mock.timers.tick(60_000);
  await writes;
  assert.deepEqual(faults.map(({ message }) => message), ["IndexedDB did not answer within 60 s"]);
  assert.deepEqual([await storage.get("a"), await storage.get("b")], [1, 2]);
  assert.equal(faults.length, 1);
});

test("auto: in a browser that forbids IndexedDB memory takes its place, and that is reported once", async (context) => {
  context.after(() => delete globalThis.indexedDB);
  const forbidden = () => {
    throw new DOMException("access is denied", "SecurityError");
  };
  for (const how of [{ get: forbidden }, { value: { open: forbidden } }]) {
    Object.defineProperty(globalThis, "indexedDB", { configurable: true, ...how });
    const faults = [];
    const storage = await autoStorage((fault) => faults.push(fault));
    await storage.apply([["put", "a", 1]]);
    assert.equal(await storage.get("a"), 1);
    assert.deepEqual(faults.map(({ name }) => name), ["SecurityError"]);
  }
});

test("scoped: two parts of one storage do not see each other's keys", async () => {
  const shared = memoryStorage();
  const [one, two] = ["one/", "two/"].map((prefix) => scopedStorage(async () => shared, prefix));
  await one.apply([["put", "a", 1]]);
  assert.equal(await two.get("a"), undefined);
  assert.deepEqual(await shared.getAll(""), [["one/a", 1]]);
});

test("file: data is there when it is opened again, and only its owner may read it", async () => {
  const path = fresh();
  const storage = await fileStorage(path);
  await storage.apply([["put", "a", 1], ["put", "b", 2]]);
  await storage.close();
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  const again = await fileStorage(path);
  assert.deepEqual(await again.getAll(""), [["a", 1], ["b", 2]]);
  await again.close();
});

test("file: torn at any byte, it has all whole batches before, and can be written", async () => {
  const path = fresh();
  const storage = await fileStorage(path);
  await storage.apply([["put", "a", 1]]);
  const whole = (await stat(path)).size;
  await storage.apply([["put", "a", 2], ["put", "b", "ü"]]);
  await storage.close();
  const data = await readFile(path);
  for (let bytes = whole; bytes < data.length; bytes += 1) {
    await writeFile(path, data.subarray(0, bytes));
    const torn = await fileStorage(path);
    assert.deepEqual(await torn.getAll(""), [["a", 1]], `cut at ${bytes}`);
    await torn.apply([["put", "c", 3]]);
    await torn.close();
    const mended = await fileStorage(path);
    assert.deepEqual(await mended.getAll(""), [["a", 1], ["c", 3]], `cut at ${bytes}`);
    await mended.close();
  }
});

test("file: garbage at the end is cut off, also what a crash of the machine leaves", async () => {
  const path = fresh();
  const storage = await fileStorage(path);
  await storage.apply([["put", "a", 1]]);
  await storage.close();
  await appendFile(path, Buffer.alloc(4096));
  await appendFile(path, "\n");
  const again = await fileStorage(path);
  assert.deepEqual(await again.getAll(""), [["a", 1]]);
  await again.close();
});

test("file: it does not grow without end", async () => {
  const path = fresh();
  const storage = await fileStorage(path);
  for (let number = 0; number < 60; number += 1) await storage.apply([["put", "a", "x".repeat(100_000) + number]]);
  assert.ok((await stat(path)).size < 2_500_000, String((await stat(path)).size));
  await storage.close();
  const again = await fileStorage(path);
  assert.equal(await again.get("a"), `${"x".repeat(100_000)}59`);
  await again.close();
});

test("file: an interrupted compaction leaves the old file as it was", async () => {
  const path = fresh();
  const storage = await fileStorage(path);
  await storage.apply([["put", "a", 1]]);
  await storage.close();
  await writeFile(`${path}.new`, "half of it");
  const again = await fileStorage(path);
  assert.equal(await again.get("a"), 1);
  await again.close();
});

test("file: a second one is refused, in this process and in another, until the first is closed", async () => {
  const path = fresh();
  const storage = await fileStorage(path);
  await assert.rejects(fileStorage(path), { code: "ELOCKED" });
  assert.match(await inAnotherProcess(path), /ELOCKED/);
  await storage.close();
  assert.match(await inAnotherProcess(path), /opened/);
});

test("file: the lock of a process that is gone, or whose process id was reused, does not count", async () => {
  const path = fresh();
  await (await fileStorage(path)).close();
  for (const stale of ["999999999 1", `${process.pid} 1`]) {
    await writeFile(`${path}.lock`, stale);
    await (await fileStorage(path)).close();
  }
});

test("file: a failed write is refused, and the file stays whole", async () => {
  const storage = await fileStorage(fresh());
  await storage.apply([["put", "a", 1]]);
  const round = {};
  round.round = round;
  await assert.rejects(storage.apply([["put", "b", round]]), TypeError);
  await storage.close();
  await assert.rejects(storage.apply([["put", "c", 1]]), /is closed/);
});

test("persistence: changes during one write go together into the next, and each resolves when it is stored", async () => {
  const batches = [];
  const releases = [];
  const storage = { apply: (batch) => (batches.push(batch.map(([, key]) => key)), new Promise((resolve) => releases.push(resolve))) };
  const persistence = new Persistence(/** @type {any} */ (storage), assert.fail);
  const done = [];
  for (const key of ["a", "b"]) void persistence.put(key, 1).then(() => done.push(key));
  await turns();
  for (const key of ["c", "d", "c"]) void persistence.put(key, 2).then(() => done.push(key));
  await turns();
  assert.deepEqual(batches, [["a", "b"]]);
  releases[0]();
  await turns();
  assert.deepEqual(done, ["a", "b"]);
  assert.deepEqual(batches, [["a", "b"], ["c", "d"]]);
  const flushed = persistence.flush();
  releases[1]();
  await flushed;
  assert.deepEqual(done, ["a", "b", "c", "d", "c"]);
});

async function turns() {
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

async function inAnotherProcess(path) {
  const code = `import { fileStorage } from ${JSON.stringify(new URL("../../../relay/web/sdk/node.js", import.meta.url).href)};
    try { await fileStorage(${JSON.stringify(path)}); console.log("opened") } catch (error) { console.log(error.code) }`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", code]);
  let text = "";
  child.stdout.on("data", (data) => (text += data));
  child.stderr.on("data", (data) => (text += data));
  await new Promise((resolve) => child.on("close", resolve));
  return text;
}
