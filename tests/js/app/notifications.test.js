/** What notifies: levels, quiet hours, and what the service worker does with what is pushed. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import vm from "node:vm";

import { isWithin, Levels } from "../../../relay/web/app/notifications/levels.js";

const SOURCE = readFileSync(new URL("../../../relay/web/app/service-worker.js", import.meta.url), "utf8");
const SCOPE = "https://x.org/chat/";
const noon = new Date("2026-06-01T12:00:00Z");
globalThis.addEventListener ??= () => {};
globalThis.removeEventListener ??= () => {};

test("quiet hours are those of the zone's clock, over midnight too", () => {
  assert.ok(isWithin({ from: "14:00", to: "15:00", zone: "Europe/Berlin" }, noon));
  assert.ok(!isWithin({ from: "14:00", to: "15:00", zone: "UTC" }, noon));
  assert.ok(isWithin({ from: "22:00", to: "12:01", zone: "UTC" }, noon));
  assert.ok(!isWithin({ from: "22:00", to: "12:00", zone: "UTC" }, noon), "the end is not in it");
  assert.ok(!isWithin({ from: "00:00", to: "23:59", zone: "Mars/Base" }, noon));
});

/** Levels with a server that keeps calls, or has no such plugin. @param {boolean} on */
function levelsWith(on) {
  /** @type {string[]} */
  const calls = [];
  const restApi = {
    request: async (/** @type {string} */ method, /** @type {string} */ path, /** @type {any} */ call) => {
      if (!on) throw Object.assign(new Error("there is no such path"), { code: "not_found" });
      calls.push([method, path, call?.body && JSON.stringify(call.body)].filter(Boolean).join(" "));
      return { do_not_disturb_until: null, quiet_hours: null, content: null, muted: [], everything: [], ...call?.body };
    },
  };
  let changes = 0;
  const levels = new Levels(/** @type {any} */ ({ restApi }), () => (changes += 1));
  return { levels, calls, changes: () => changes };
}

const ALICE = /** @type {const} */ ({ target: "alice", kind: "user" });
const TEAM = /** @type {const} */ ({ target: "team", kind: "group" });

test("what is chosen for a conversation is kept by the server", async () => {
  const { levels, calls, changes } = levelsWith(true);
  assert.deepEqual(levels.of(ALICE), { level: "all", muted: false, until: null });
  assert.deepEqual(levels.of(TEAM), { level: "mentions", muted: false, until: null });
  const later = Math.round(Date.now() / 1000) + 3600;
  await levels.set(TEAM, "all");
  await levels.set(TEAM, "mentions", later);
  assert.deepEqual(levels.of(TEAM), { level: "mentions", muted: true, until: later });
  assert.deepEqual(levels.settings.everything, ["team"], "it notifies of everything again after that");
  await levels.set(TEAM, "mentions");
  assert.deepEqual(levels.of(TEAM), { level: "mentions", muted: false, until: null });
  await levels.set(ALICE, "nothing");
  assert.deepEqual(levels.of(ALICE), { level: "nothing", muted: true, until: null });
  assert.deepEqual(calls, [
    "GET /api/push/settings",
    "PUT /api/push/everything/team",
    "DELETE /api/push/muted/team",
    `PUT /api/push/muted/team {"until":${later},"mentions":true}`,
    "DELETE /api/push/everything/team",
    "DELETE /api/push/muted/team",
    'PUT /api/push/muted/alice {"until":null,"mentions":false}',
  ]);
  assert.equal(changes(), 4);
  levels.close();
});

test("where the server keeps nothing, it holds in this browser", async () => {
  const { levels } = levelsWith(false);
  await levels.set(ALICE, "nothing", Math.round(Date.now() / 1000) + 60);
  assert.equal(levels.supported, false);
  assert.ok(levels.of(ALICE).muted);
  await levels.change({ do_not_disturb_until: Date.now() / 1000 + 60 });
  assert.ok(levels.quiet);
  await levels.change({ do_not_disturb_until: null });
  assert.ok(!levels.quiet);
  await levels.set(ALICE, "nothing", Date.now() / 1000 - 1);
  assert.ok(!levels.of(ALICE).muted, "that is over");
  levels.close();
});

/** The service worker in a browser with these pages. @param {any[]} [pages] */
function workerWith(pages = []) {
  /** @type {Map<string, any>} */
  const shown = new Map();
  /** @type {string[]} */
  const opened = [];
  /** @type {any[]} */
  const subscribed = [];
  /** @type {Record<string, (event: any) => void>} */
  const listeners = {};
  vm.runInNewContext(SOURCE, {
    caches: {}, Set, Map, Date,
    registration: {
      scope: SCOPE,
      getNotifications: async () => [...shown.values()],
      showNotification: async (/** @type {string} */ title, /** @type {any} */ options) => {
        shown.set(options.tag, { title, ...options, close: () => shown.delete(options.tag) });
      },
      pushManager: { subscribe: async (/** @type {any} */ options) => subscribed.push(options) },
    },
    clients: { matchAll: async () => pages, openWindow: async (/** @type {string} */ url) => opened.push(url) },
    addEventListener: (/** @type {string} */ name, /** @type {any} */ listener) => (listeners[name] = listener),
  });
  const tell = async (/** @type {string} */ name, /** @type {any} */ event) => {
    /** @type {Promise<unknown>[]} */
    const waits = [];
    listeners[name]({ ...event, waitUntil: (/** @type {Promise<unknown>} */ done) => waits.push(done) });
    await Promise.all(waits);
  };
  const push = (/** @type {any} */ said) => tell("push", { data: { json: () => said } });
  return { shown, opened, subscribed, tell, push };
}

const LUNCH = {
  event: "notification", tag: "T", title: "alice", body: "Lunch?", renotify: true, count: 1, timestamp: 1700000000,
  kind: "user", target_id: "alice", message_id: 7, seq: 3,
};

test("a push is shown once a conversation, and closed when it is taken back", async () => {
  const { shown, push } = workerWith();
  await push(LUNCH);
  await push({ ...LUNCH, body: "At one", message_id: 8, seq: 4 });
  await push({ ...LUNCH, tag: "U", kind: "group", target_id: "team", title: "alice in Team" });
  await push({ event: "notification", tag: "V", title: "relay", body: "New message", renotify: true, timestamp: 1 });
  assert.deepEqual([...shown.values()].map(({ title, body, tag }) => `${tag} ${title}: ${body}`), [
    "relay:alice alice: At one", "relay:team alice in Team: Lunch?", "V relay: New message",
  ]);
  await push({ event: "withdrawn", tag: "T" });
  await push({ event: "withdrawn", tag: "V" });
  assert.deepEqual([...shown.keys()], ["relay:team"]);
});

test("what the page has shown already does not alert again", async () => {
  const { shown, push } = workerWith();
  shown.set("relay:alice", { tag: "relay:alice", data: { target: "alice", messageId: 7 } });
  await push(LUNCH);
  assert.deepEqual([shown.get("relay:alice").renotify, shown.get("relay:alice").silent], [false, true]);
});

test("a click goes to the message, in the page that is open or in a new one", async () => {
  /** @type {any[]} */
  const told = [];
  const page = (/** @type {string} */ url, visibilityState = "hidden") => ({
    url, visibilityState, postMessage: (/** @type {any} */ data) => told.push([url, data]), focus: async () => told.push([url, "focus"]),
  });
  const notification = { data: { target: "a/b", seq: 3 }, close() {} };
  const alone = workerWith([page("https://x.org/other/")]);
  await alone.tell("notificationclick", { notification });
  assert.deepEqual(alone.opened, [`${SCOPE}#/a%2Fb/3`]);
  const both = workerWith([page(`${SCOPE}#/bob`), page(`${SCOPE}#/carol`, "visible")]);
  await both.tell("notificationclick", { notification });
  assert.deepEqual(both.opened, []);
  assert.equal(JSON.stringify(told), JSON.stringify([[`${SCOPE}#/carol`, { visit: { target: "a/b", seq: 3 } }], [`${SCOPE}#/carol`, "focus"]]));
});

test("a subscription that the browser made void is renewed, and open pages tell the server", async () => {
  /** @type {any[]} */
  const told = [];
  const { subscribed, tell } = workerWith([{ url: SCOPE, postMessage: (/** @type {any} */ data) => told.push(data) }]);
  await tell("pushsubscriptionchange", { oldSubscription: { options: { userVisibleOnly: true } } });
  assert.deepEqual(subscribed, [{ userVisibleOnly: true }]);
  assert.equal(JSON.stringify(told), '[{"renewed":true}]');
});
