/** The service worker, with caches that may be full and a server that may go away or be upgraded. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import vm from "node:vm";

const SOURCE = readFileSync(new URL("../../../relay/web/app/service-worker.js", import.meta.url), "utf8");
const SCOPE = "https://x.org/chat/";
const FILES = ["app/main.js", "app/main.css", "plugins/tasks/page.js", "sdk/index.js"];
const ALL = FILES.map((name) => SCOPE + name);

/** A browser's caches, with room for so many files; with room for none they cannot be read either. */
class Caches {
  /** @type {Map<string, Map<string, any>>} */
  all = new Map();
  room = Infinity;
  forbidden = false;

  /** @param {string} name */
  async open(name) {
    this.#check();
    const files = this.all.get(name) ?? new Map();
    this.all.set(name, files);
    return {
      put: async (/** @type {any} */ request, /** @type {any} */ answer) => {
        const held = [...this.all.values()].reduce((sum, { size }) => sum + size, 0);
        if (held >= this.room && !files.has(urlOf(request))) throw new DOMException("full", "QuotaExceededError");
        files.set(urlOf(request), answer);
      },
      match: async (/** @type {any} */ request) => files.get(urlOf(request))?.clone(),
    };
  }

  async match(/** @type {any} */ request, /** @type {any} */ { cacheName }) {
    this.#check();
    return this.all.get(cacheName)?.get(urlOf(request))?.clone();
  }

  async keys() {
    this.#check();
    return [...this.all.keys()];
  }

  async delete(/** @type {string} */ name) {
    return this.all.delete(name);
  }

  #check() {
    if (this.forbidden) throw new DOMException("forbidden", "SecurityError");
  }
}

/** @param {any} request */
const urlOf = (request) => (typeof request === "string" ? request : request.url);

/** A browser with the worker, a server, and the pages that are opened. */
class World {
  version = "1";
  away = false;
  status = 200;
  /** @type {string[]} */
  asked = [];
  /** @type {string[]} */
  reloaded = [];
  caches = new Caches();
  #pages = 0;
  /** @type {Record<string, (event: any) => void>} */
  #listeners = {};

  constructor() {
    this.restart();
  }

  /** Restart the worker, as browsers do after a while without work. */
  restart() {
    const get = async (/** @type {string} */ id) => ({ url: SCOPE, navigate: async () => void this.reloaded.push(id) });
    vm.runInNewContext(SOURCE, {
      caches: this.caches, Response, Request, Set, Map, Date,
      fetch: (/** @type {any} */ request) => this.#fetch(urlOf(request)),
      registration: { scope: SCOPE },
      clients: { get, claim: async () => {} },
      skipWaiting: () => {},
      addEventListener: (/** @type {string} */ name, /** @type {any} */ listener) => (this.#listeners[name] = listener),
    });
  }

  /** @param {string} url */
  async #fetch(url) {
    this.asked.push(url);
    if (this.away) throw new TypeError("no network");
    return new Response(`${url.slice(SCOPE.length)} ${this.version}`, { status: this.status, headers: { "Relay-Page": this.version } });
  }

  /** @param {string} url @param {string} [page] @returns {Promise<string>} what a page gets */
  async get(url, page) {
    /** @type {Promise<Response> | undefined} */
    let answer;
    const request = { url, method: "GET", mode: page ? "no-cors" : "navigate" };
    const ids = page ? { clientId: page } : { resultingClientId: `page ${this.#pages}` };
    this.#listeners.fetch({ request, ...ids, respondWith: (/** @type {any} */ given) => (answer = given) });
    const response = await answer;
    return response?.type === "error" ? "error" : `${await response?.text()}`;
  }

  /** Load a page as a browser does; returns its id and the versions of its files. */
  async open() {
    this.#pages += 1;
    const id = `page ${this.#pages}`;
    const files = [await this.get(SCOPE)];
    for (const url of ALL) files.push(await this.get(url, id));
    return { id, versions: [...new Set(files.map((file) => file.split(" ").at(-1)))] };
  }

  /** Tell the worker what a page has loaded. @param {string} id */
  async keep(id) {
    /** @type {Promise<void>[]} */
    const waits = [];
    this.#listeners.message({ source: { id }, data: { keep: ALL }, waitUntil: (/** @type {any} */ work) => waits.push(work) });
    await Promise.all(waits);
  }

  /** Open a page, and have it cached. */
  async visit() {
    const { id, versions } = await this.open();
    await this.keep(id);
    return versions;
  }
}

test("after a visit the page opens without the server", async () => {
  for (const go of [(/** @type {World} */ world) => (world.away = true), (/** @type {World} */ world) => (world.status = 503)]) {
    const world = new World();
    assert.deepEqual(await world.visit(), ["1"]);
    go(world);
    assert.deepEqual((await world.open()).versions, ["1"]);
    world.restart();
    assert.deepEqual((await world.open()).versions, ["1"]);
  }
});

test("a full or missing cache does not stop an answer of the server", async () => {
  for (const spoil of [(/** @type {World} */ { caches }) => (caches.room = 0), (/** @type {World} */ { caches }) => (caches.forbidden = true)]) {
    const world = new World();
    spoil(world);
    assert.deepEqual(await world.visit(), ["1"]);
    assert.deepEqual(await world.visit(), ["1"]);
    world.version = "2";
    assert.deepEqual(await world.visit(), ["2"]);
  }
});

test("an upgrade without room in the cache is shown online, and offline the complete version before it is", async () => {
  for (const room of [5, 6, 7, 8, 9]) {
    const world = new World();
    await world.visit();
    world.caches.room = room;
    world.version = "2";
    assert.deepEqual(await world.visit(), ["2"], `room: ${room}`);
    world.away = true;
    assert.deepEqual((await world.open()).versions, ["1"], `room: ${room}`);
  }
});

test("files without room in the cache are not fetched again with every page", async () => {
  const world = new World();
  world.caches.room = 1;
  await world.visit();
  world.asked.length = 0;
  await world.visit();
  assert.equal(world.asked.length, 5);
});

test("an upgrade replaces the cached version, all of it at once", async () => {
  const world = new World();
  await world.visit();
  world.version = "2";
  const { id, versions } = await world.open();
  assert.deepEqual(versions, ["2"]);
  world.away = true;
  assert.deepEqual((await world.open()).versions, ["1"], "nothing of the new version is kept yet");
  world.away = false;
  await world.keep(id);
  world.away = true;
  assert.deepEqual((await world.open()).versions, ["2"]);
  assert.equal(world.caches.all.size, 1);
});

test("when the server goes away during a load, the rest comes from the cache of the same version, or not at all", async () => {
  const world = new World();
  await world.visit();
  await world.get(SCOPE);
  world.away = true;
  assert.equal(await world.get(ALL[0], "page 1"), "app/main.js 1");
  world.away = false;
  world.version = "2";
  const { id } = await world.open();
  world.away = true;
  await assert.rejects(world.get(ALL[0], id), TypeError);
});

test("when the server is upgraded during a load, the page is reloaded, or gets the cached files of its version", async () => {
  const kept = new World();
  await kept.visit();
  const old = await kept.open();
  kept.version = "2";
  assert.equal(await kept.get(ALL[1], old.id), "app/main.css 1");
  assert.deepEqual(kept.reloaded, []);
  const world = new World();
  const { id } = await world.open();
  world.version = "2";
  assert.equal(await world.get(ALL[1], id), "error");
  assert.equal(await world.get(ALL[2], id), "error");
  assert.deepEqual(world.reloaded, [id]);
  await world.keep(id);
  assert.equal(world.caches.all.size, 0, "a page of before does not have the new files kept as its own");
});

test("a proxy's answer in place of a file is passed on", async () => {
  const world = new World();
  const { id } = await world.open();
  world.version = "";
  world.status = 429;
  assert.equal(await world.get(ALL[1], id), "app/main.css ");
  assert.deepEqual(world.reloaded, []);
});

test("calls to the server do not pass through the worker", async () => {
  const world = new World();
  for (const path of ["api/users/me", "ws", "healthz", "apps/x"]) assert.equal(await world.get(SCOPE + path, "page 1"), "undefined");
  assert.deepEqual(world.asked, []);
});
