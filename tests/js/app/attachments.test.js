/** Uploads as in a browser: by XMLHttpRequest, which alone reports progress there, and by fetch in a worker. */

import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import { RestApiClient } from "../../../relay/web/sdk/index.js";

/** A fake XMLHttpRequest: the test is the server. */
class FakeRequest {
  /** @type {FakeRequest[]} */
  static all = [];
  upload = /** @type {any} */ ({});
  headers = /** @type {Record<string, string>} */ ({});
  status = 0;
  responseText = "";
  aborted = false;
  onload = () => {};
  onerror = () => {};
  onabort = () => {};
  onloadend = () => {};

  constructor() {
    FakeRequest.all.push(this);
  }

  /** @param {string} method @param {string} url */
  open(method, url) {
    Object.assign(this, { method, url });
  }

  /** @param {string} name @param {string} value */
  setRequestHeader(name, value) {
    this.headers[name] = value;
  }

  getResponseHeader() {
    return null;
  }

  /** @param {Blob} body */
  send(body) {
    Object.assign(this, { body });
  }

  abort() {
    this.aborted = true;
    this.onabort();
    this.onloadend();
  }

  /** @param {number} status @param {object} answer */
  answer(status, answer) {
    this.status = status;
    this.responseText = JSON.stringify(answer);
    this.onload();
    this.onloadend();
  }
}

const KEPT = { attachment_id: "a_1", name: "a.txt", type: "text/plain", size: 1, sha256: "" };

beforeEach(() => {
  mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
  FakeRequest.all = [];
  globalThis.XMLHttpRequest = /** @type {any} */ (FakeRequest);
});
afterEach(() => {
  mock.timers.reset();
  delete (/** @type {any} */ (globalThis).XMLHttpRequest);
});

/** @param {object} [options] */
async function begun(options = {}, token = /** @type {any} */ ("rly_token")) {
  const upload = new RestApiClient("https://a.example", token).uploadAttachment(new File(["x"], "ä.txt", { type: "text/plain" }), options);
  upload.catch(() => {});
  while (!FakeRequest.all.length) await new Promise((resolve) => setImmediate(resolve));
  return { upload, request: /** @type {any} */ (FakeRequest.all[0]) };
}

test("the file is the body, its name is in the URL, the token in the header, and progress is reported", async () => {
  /** @type {number[][]} */
  const steps = [];
  const { upload, request } = await begun({ onProgress: (/** @type {number[]} */ ...step) => steps.push(step) });
  assert.equal(`${request.method} ${request.url}`, "POST https://a.example/api/attachments?name=%C3%A4.txt");
  assert.deepEqual(request.headers, { Accept: "application/json", "Content-Type": "text/plain", Authorization: "Bearer rly_token" });
  request.upload.onprogress({ loaded: 1, total: 2 });
  request.answer(201, KEPT);
  assert.deepEqual(await upload, KEPT);
  assert.deepEqual(steps, [[1, 2]]);
});

test("a refusal is a RelayError, a broken connection is offline", async () => {
  const refused = await begun();
  refused.request.answer(413, { code: "too_large", detail: "at most 1 byte", retry: false });
  await assert.rejects(refused.upload, { code: "too_large", message: "at most 1 byte" });
  FakeRequest.all = [];
  const broken = await begun();
  broken.request.onerror();
  await assert.rejects(broken.upload, { code: "offline", retry: true });
});

test("an upload with progress may take any time; one without fails", async () => {
  const { upload, request } = await begun();
  for (let step = 0; step < 10; step += 1) {
    mock.timers.tick(20_000);
    request.upload.onprogress({ loaded: step, total: 10 });
  }
  assert.equal(request.aborted, false);
  mock.timers.tick(30_000);
  assert.equal(request.aborted, true);
  await assert.rejects(upload, { code: "offline", message: "POST /api/attachments: no answer within 30 s" });
});

test("an aborted signal ends the upload", async () => {
  const ending = new AbortController();
  const { upload, request } = await begun({ signal: ending.signal });
  ending.abort();
  assert.equal(request.aborted, true);
  await assert.rejects(upload, { name: "AbortError" });
});

test("after a refused token the provider is called once more", async () => {
  const { upload, request } = await begun({}, ({ reason }) => `rly_${reason}`);
  request.answer(401, { code: "forbidden" });
  while (FakeRequest.all.length < 2) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(FakeRequest.all[1]?.headers.Authorization, "Bearer rly_refused");
  FakeRequest.all[1]?.answer(201, KEPT);
  assert.deepEqual(await upload, KEPT);
});
