/** RestApiClient on a fake fetch: the request of each method, and answers, refusals and missing answers. */

import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import { RelayError, RestApiClient } from "../../../relay/web/sdk/index.js";

const BASE = "https://chat.example.org/relay";

/** @typedef {{ method: string, path: string, body: any, headers: Record<string, string> }} Asked */

/**
 * A client whose calls are answered from a list. The last answer is repeated.
 *
 * @param {(Response | Error | (() => Response))[]} answers
 * @param {any} [token]
 * @param {object} [options]
 */
function client(answers = [json({})], token = "rly_token", options = {}) {
  /** @type {Asked[]} */
  const asked = [];
  /** @type {any} */
  const fetch = async (/** @type {string} */ url, /** @type {any} */ init) => {
    asked.push({ method: init.method, path: url.replace(BASE, ""), body: init.body && JSON.parse(init.body), headers: init.headers });
    const answer = answers.length > 1 ? answers.shift() : answers[0];
    if (answer instanceof Error) throw answer;
    return typeof answer === "function" ? answer() : /** @type {Response} */ (answer).clone();
  };
  return { asked, rest: new RestApiClient(BASE, token, { fetch, random: () => 1, ...options }) };
}

/** @param {unknown} value @param {number} [status] @param {Record<string, string>} [headers] */
function json(value, status = 200, headers = {}) {
  return new Response(JSON.stringify(value), { status, headers: { "Content-Type": "application/json", ...headers } });
}

/** @param {number} status @param {object} members @param {Record<string, string>} [headers] */
function problem(status, members, headers = {}) {
  return json({ type: "about:blank", status, ...members }, status, { "Content-Type": "application/problem+json", ...headers });
}

const envelope = { type: "chat_message", payload: { content: "Hi" }, meta: { target_id: "bob", id: "1" } };

/** @type {Record<string, [args: any[], asked: string, body?: unknown]>} */
const CALLS = {
  request: [["GET", "/plugins/poll", { query: { at: new Date(1500), no: null } }], "GET /plugins/poll?at=1.5"],
  login: [[{ user_id: "a", password: "p" }], "POST /api/login", { user_id: "a", password: "p" }],
  register: [[{ user_id: "a", password: "p", invite: "i" }], "POST /api/register", { user_id: "a", password: "p", invite: "i" }],
  logout: [[], "POST /api/logout"],
  getMe: [[], "GET /api/users/me"],
  updateMe: [[{ display_name: "A" }], "PATCH /api/users/me", { display_name: "A" }],
  exportAccount: [[], "GET /api/users/me/export"],
  eraseAccount: [[{ current_password: "p" }], "POST /api/users/me/erase", { current_password: "p" }],
  getDevices: [[{ limit: 5, cursor: "x" }], "GET /api/devices?limit=5&cursor=x"],
  revokeDevice: [["my phone"], "DELETE /api/devices?client_id=my+phone"],
  findUsers: [["bo b", { limit: 5 }], "GET /api/users?q=bo+b&limit=5"],
  getUser: [["bob"], "GET /api/users/bob"],
  getStatus: [["bob"], "GET /api/users/bob/status"],
  getFollowingStatus: [[], "GET /api/users/following/status"],
  follow: [["b@b"], "PUT /api/users/following/b%40b"],
  unfollow: [["bob"], "DELETE /api/users/following/bob"],
  sendMessage: [[envelope], "POST /api/messages", envelope],
  getUserMessages: [["bob", { before: 9, limit: 3 }], "GET /api/messages/user/bob?before=9&limit=3"],
  getGroupMessages: [["team", { around: 9 }], "GET /api/messages/group/team?around=9"],
  getUndelivered: [[{ cursor: 4 }], "GET /api/messages/undelivered?cursor=4"],
  acknowledge: [[{ cursor: 7 }], "POST /api/messages/acknowledge", { cursor: 7 }],
  markRead: [[{ message_ids: [1, 2] }], "POST /api/messages/read", { message_ids: [1, 2] }],
  search: [["lunch", { group: "team" }], "GET /api/search?q=lunch&group=team"],
  getConversations: [[], "GET /api/conversations"],
  getNotifications: [[{ before: 7 }], "GET /api/notifications?before=7"],
  createGroup: [[{ name: "T", members: ["bob"] }], "POST /api/groups", { name: "T", members: ["bob"] }],
  getGroups: [[{ limit: 2 }], "GET /api/groups?limit=2"],
  getGroup: [["team"], "GET /api/groups/team"],
  updateGroup: [["team", { name: "N" }], "PATCH /api/groups/team", { name: "N" }],
  deleteGroup: [["team"], "DELETE /api/groups/team"],
  putMember: [["team", "bob", { role: "admin" }], "PUT /api/groups/team/members/bob", { role: "admin" }],
  removeMember: [["team", "bob"], "DELETE /api/groups/team/members/bob"],
  getAttachment: [["a_1"], "HEAD /api/attachments/a_1"],
  downloadAttachment: [["a_1"], "GET /api/attachments/a_1"],
  deleteAttachment: [["a_1"], "DELETE /api/attachments/a_1"],
  getTypes: [[], "GET /api/types"],
};
const TRIED_ELSEWHERE = ["constructor", "baseUrl", "authToken", "uploadAttachment", "attachmentUrl"];

beforeEach(() => mock.timers.enable({ apis: ["setTimeout"] }));
afterEach(() => mock.timers.reset());

/** Let time pass, a step at a time, so that what is awaited in between goes on. @param {number} seconds */
async function pass(seconds) {
  for (let step = 0; step < 20; step += 1) {
    await new Promise((resolve) => setImmediate(resolve));
    mock.timers.tick((seconds * 1000) / 20);
  }
  await new Promise((resolve) => setImmediate(resolve));
}

test("every method is in the table of calls", () => {
  const methods = Object.getOwnPropertyNames(RestApiClient.prototype).filter((name) => !TRIED_ELSEWHERE.includes(name));
  assert.deepEqual(methods.sort(), Object.keys(CALLS).sort());
});

for (const [name, [args, expected, body]] of Object.entries(CALLS)) {
  test(`${name} asks for ${expected}`, async () => {
    const { asked, rest } = client();
    await /** @type {any} */ (rest)[name](...args);
    assert.equal(asked.length, 1);
    assert.equal(`${asked[0]?.method} ${asked[0]?.path}`, expected);
    assert.deepEqual(asked[0]?.body, body);
    const open = name === "login" || name === "register";
    assert.equal(asked[0]?.headers.Authorization, open ? undefined : "Bearer rly_token");
  });

  test(`${name} ends when its signal does`, async () => {
    const { asked, rest } = client();
    const call = { signal: AbortSignal.abort() };
    const places = /** @type {any} */ (rest)[name].length;
    const padded = [...args, ...Array(Math.max(0, places - args.length - 1)).fill(undefined)];
    const last = name === "request" ? [...args.slice(0, 2), call] : [...padded, call];
    await assert.rejects(/** @type {any} */ (rest)[name](...last), { name: "AbortError" });
    assert.equal(asked.length, 0);
  });
}

test("the base URL keeps its prefix and loses its last slash; sockets' schemes are taken as well", () => {
  const address = (/** @type {string} */ url) => new RestApiClient(url).baseUrl;
  assert.equal(address("https://a.example/x/"), "https://a.example/x");
  assert.equal(address("wss://a.example"), "https://a.example");
  assert.equal(address("ws://a.example:1"), "http://a.example:1");
  assert.throws(() => address("ftp://a.example"), /baseUrl is 'ftp:\/\/a.example'; right is an address with http/);
  assert.throws(() => address(""), /there is no page/);
});

test("the token of a login is used from then on, and a logout deletes it", async () => {
  const { asked, rest } = client([json({ token: "rly_new", user_id: "a", expires_at: null }), json({})], null);
  await rest.login({ user_id: "a", password: "p" });
  assert.equal(rest.authToken, "rly_new");
  await rest.logout();
  assert.equal(asked[1]?.headers.Authorization, "Bearer rly_new");
  assert.equal(rest.authToken, null);
});

test("a problem is a RelayError with all its fields", async () => {
  const { rest } = client([problem(404, { code: "not_found", detail: "there is no user 'x'", retry: false, details: { a: 1 } })]);
  await assert.rejects(rest.getUser("x"), (error) => {
    assert.ok(error instanceof RelayError);
    const { code, message, retry, status, details } = error;
    assert.deepEqual({ code, message, retry, status, details }, {
      code: "not_found", message: "there is no user 'x'", retry: false, status: 404, details: { a: 1 },
    });
    return true;
  });
});

test("the code of a refusal that is not a problem of relay's is that of its status", async () => {
  const { rest } = client([new Response("<h1>No</h1>", { status: 413 })]);
  await assert.rejects(rest.getMe(), { code: "too_large", message: "HTTP 413", retry: false });
});

test("an answer that says it is JSON and is not is an error", async () => {
  const { rest } = client([new Response("{", { headers: { "Content-Type": "application/json" } })]);
  await assert.rejects(rest.createGroup({ name: "T" }), { code: "internal", message: "the server's answer is no JSON" });
});

test("a call that may be repeated is repeated when the network breaks", async () => {
  const { asked, rest } = client([new TypeError("fetch failed"), new Response("", { status: 502 }), json({ user_id: "a" })]);
  const me = rest.getMe();
  await pass(2);
  assert.deepEqual(await me, { user_id: "a" });
  assert.equal(asked.length, 3);
});

test("after four tries it is offline", async () => {
  const { asked, rest } = client([new TypeError("fetch failed")]);
  const me = assert.rejects(rest.getMe(), { code: "offline", retry: true, message: "GET /api/users/me: fetch failed" });
  await pass(10);
  await me;
  assert.equal(asked.length, 4);
});

test("a call that creates something each time is not repeated", async () => {
  const { asked, rest } = client([new TypeError("fetch failed")]);
  await assert.rejects(rest.createGroup({ name: "T" }), { code: "offline" });
  const { id: _, ...meta } = envelope.meta;
  await assert.rejects(rest.sendMessage({ ...envelope, meta }), { code: "offline" });
  await assert.rejects(rest.login({ user_id: "a", password: "p" }), { code: "offline" });
  assert.equal(asked.length, 3);
});

test("a message with an id is sent again", async () => {
  const { asked, rest } = client([new TypeError("fetch failed"), json({ message_id: 1 }, 201)]);
  const ack = rest.sendMessage(envelope);
  await pass(1);
  assert.deepEqual(await ack, { message_id: 1 });
  assert.equal(asked.length, 2);
});

test("a call waits as long as the server asks", async () => {
  const { asked, rest } = client([problem(429, { code: "rate_limited", retry: true, retry_after: 3 }), json({})]);
  const me = rest.getMe();
  await pass(2.9);
  assert.equal(asked.length, 1);
  await pass(0.2);
  await me;
  assert.equal(asked.length, 2);
});

test("a call without an answer fails after its timeout", async () => {
  const silent = /** @type {any} */ (
    (/** @type {string} */ _url, /** @type {any} */ { signal }) =>
      new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)))
  );
  const rest = new RestApiClient(BASE, "t", { fetch: silent, timeout: 5 });
  const me = assert.rejects(rest.getMe(), { code: "offline", message: "GET /api/users/me: no answer within 5 s" });
  await pass(5);
  await me;
});

test("an aborted signal ends the pause between tries", async () => {
  const { rest } = client([problem(503, { code: "overloaded", retry: true, retry_after: 20 })]);
  const ending = new AbortController();
  const me = assert.rejects(rest.getMe({ signal: ending.signal }), { name: "AbortError" });
  await pass(1);
  ending.abort();
  await me;
});

test("the token provider is called for another token when the first is refused", async () => {
  /** @type {string[]} */
  const reasons = [];
  const provider = async (/** @type {{ reason: string }} */ { reason }) => {
    reasons.push(reason);
    return `rly_${reason}`;
  };
  const { asked, rest } = client([problem(401, { code: "forbidden" }), json({ user_id: "a" })], provider);
  assert.deepEqual(await rest.getMe(), { user_id: "a" });
  assert.deepEqual(reasons, ["first", "refused"]);
  assert.deepEqual(asked.map(({ headers }) => headers.Authorization), ["Bearer rly_first", "Bearer rly_refused"]);
});

test("after two refused tokens the call fails", async () => {
  const { asked, rest } = client([problem(401, { code: "forbidden" })], () => "rly_old");
  await assert.rejects(rest.getMe(), { code: "forbidden", status: 401 });
  assert.equal(asked.length, 2);
});

test("an attachment's URL has no token in it", () => {
  const { rest } = client();
  assert.equal(rest.attachmentUrl("a_1"), `${BASE}/api/attachments/a_1`);
});
