/**
 * A service worker that opens the page while the server is away. Files come from the server; where it does not answer, they
 * come from the cache. Calls to the server (/api, /ws) do not pass through here.
 *
 * Rule 1: a page never mixes two versions. The server names the version with each file (`Relay-Page`). A page gets all its
 * files in the version of its document, from the server or from the cache of that version. Where neither has it, as when
 * the server is upgraded during a load, the page is reloaded. A file that is named by its contents is of every version.
 *
 * Rule 2: a failing cache costs nothing. No answer waits for a write to the cache. A version is used without the server only
 * once it is cached completely, and only then the version before is deleted.
 *
 * It also shows what the server's plugin `notifications` pushes to this browser (docs/plugins/notifications.md), and closes what
 * was read elsewhere. The page shows its own notifications with the same tags, so a conversation has one, whoever shows it.
 */

/** @type {any} */
const worker = globalThis;
const CACHES = "relay-page";
/** An entry in a cache that is complete. */
const WHOLE = "whole";
const VERSION = "Relay-Page";
const OWN = /^(?:app\/|plugins\/|sdk\/|$)/;
const NAMED_BY_CONTENTS = /\/app\/bundle-[^/?#]+$/;
/** The server varies files by encoding and origin; for this page they are the same. */
const ANY = { ignoreVary: true };
const RELOAD_PAUSE_MS = 10_000;

/** The version of each page, of those opened last. @type {Map<string, string>} */
const versions = new Map();
const MAX_PAGES = 200;
/** Versions that did not fit into the cache. @type {Set<string>} */
const tooLarge = new Set();
let reloaded = 0;

/** @param {string} url */
function isOwn(url) {
  const { scope } = worker.registration;
  return url.startsWith(scope) && OWN.test(url.slice(scope.length).split(/[?#]/)[0]);
}

/** Tell whether a file is of a version. @param {Response} answer @param {string} url @param {string} version */
function isOf(answer, url, version) {
  return NAMED_BY_CONTENTS.test(url) || answer.headers.get(VERSION) === version;
}

/** @param {string} version */
function nameOf(version) {
  return `${CACHES}-${version}`;
}

/**
 * Use the caches; without them, or where they fail, return undefined.
 *
 * @template Value
 * @param {() => Promise<Value>} use
 * @returns {Promise<Value | undefined>}
 */
async function tried(use) {
  try {
    return await use();
  } catch {
    return undefined; // no room, or storage is forbidden
  }
}

/** @param {string} version @param {Request | string} request @returns {Promise<Response | undefined>} */
function cached(version, request) {
  return tried(() => caches.match(request, { ...ANY, cacheName: nameOf(version) }));
}

/** Return the version that is cached completely. @returns {Promise<string | undefined>} */
function wholeVersion() {
  return tried(async () => {
    for (const name of await caches.keys()) {
      if (!name.startsWith(`${CACHES}-`)) continue;
      if (await caches.match(worker.registration.scope + WHOLE, { cacheName: name })) return name.slice(CACHES.length + 1);
    }
  });
}

/** @param {Request} request @returns {Promise<Response | null>} null where the server is away */
async function fromServer(request) {
  const answer = await fetch(request).catch(() => null);
  return answer && answer.status < 500 ? answer : null;
}

/**
 * Answer with the document of a page. Its version is that of all other files of the page.
 *
 * @param {any} event
 */
async function open({ request, resultingClientId }) {
  const answer = await fromServer(request);
  const version = answer ? answer.headers.get(VERSION) : await wholeVersion();
  if (version) versions.set(resultingClientId, version);
  if (versions.size > MAX_PAGES) versions.delete(/** @type {string} */ (versions.keys().next().value));
  if (answer) return answer;
  const document = version && (await cached(version, request.url.split(/[?#]/)[0]));
  return document || fetch(request);
}

/**
 * Answer with another file of a page.
 *
 * @param {any} event
 */
async function load({ request, clientId }) {
  const wanted = versions.get(clientId);
  const answer = await fromServer(request);
  if (answer && (!wanted || (answer.ok && isOf(answer, request.url, wanted)))) return answer;
  const version = wanted ?? (await wholeVersion()); // this worker may have restarted since the page was opened
  const file = version && (await cached(version, request));
  if (file) return file;
  if (!answer) return fetch(request);
  if (!answer.ok) return answer; // not a file of another version, but for example a proxy's error
  await reload(clientId);
  return Response.error();
}

/** Reload a page whose files are no longer available. @param {string} clientId */
async function reload(clientId) {
  if (Date.now() - reloaded < RELOAD_PAUSE_MS) return;
  reloaded = Date.now();
  const client = await worker.clients.get(clientId);
  await client?.navigate(client.url).catch(() => {}); // the page is closed
}

/**
 * Cache all files of a page's version.
 *
 * @param {string} clientId
 * @param {string[]} urls all files that it has loaded
 */
async function keep(clientId, urls) {
  const whole = await wholeVersion();
  const known = versions.get(clientId);
  if (known && (tooLarge.has(known) || (known === whole && (await allCached(known, urls))))) return;
  const document = await fromServer(new Request(worker.registration.scope));
  const version = document?.headers.get(VERSION);
  if (!document?.ok || !version || version !== (known ?? version)) return; // the server was upgraded: the next load caches the new version
  const filled = await tried(() => fill(version, document, urls.filter(isOwn)));
  if (filled === undefined) tooLarge.add(version);
  const others = await tried(() => caches.keys());
  for (const name of others ?? []) {
    // A cache that could not be completed is of no use, and takes room.
    const goes = filled ? name !== nameOf(version) : name === nameOf(version) && whole !== version;
    if (goes && name.startsWith(CACHES)) await tried(() => caches.delete(name));
  }
}

/** @param {string} version @param {string[]} urls */
async function allCached(version, urls) {
  for (const url of urls.filter(isOwn)) if (!(await cached(version, url))) return false;
  return true;
}

/**
 * @param {string} version
 * @param {Response} document
 * @param {string[]} urls
 * @returns {Promise<boolean>} whether everything is cached
 */
async function fill(version, document, urls) {
  const cache = await caches.open(nameOf(version));
  await cache.put(worker.registration.scope, document);
  for (const url of new Set(urls)) {
    if (url === worker.registration.scope || (await cache.match(url, ANY))) continue;
    const file = await fromServer(new Request(url));
    if (!file?.ok || !isOf(file, url, version)) return false;
    await cache.put(url, file);
  }
  await cache.put(worker.registration.scope + WHOLE, new Response());
  return true;
}

// ---- notifications

/**
 * @typedef {object} Pushed
 * @property {"notification" | "withdrawn"} event
 * @property {string} tag the server's name of a conversation's notifications; it does not tell which conversation that is
 * @property {string} [title]
 * @property {string} [body]
 * @property {boolean} [renotify] false for what only changes what is shown
 * @property {number} [timestamp] Unix seconds
 * @property {string} [kind]
 * @property {string} [target_id] missing where the server does not tell where it was said
 * @property {number} [message_id]
 * @property {number} [seq]
 */

/** @param {any} event */
async function pushed({ data }) {
  /** @type {Pushed} */
  const push = data.json();
  const shown = await worker.registration.getNotifications();
  if (push.event === "withdrawn") {
    for (const one of shown) if (one.data?.pushed === push.tag) one.close();
    return;
  }
  const { title = "", body = "", kind = "", target_id: id, message_id: messageId, seq, timestamp = 0 } = push;
  // The names of groups and users are of one namespace; what is said to everybody, or by the server, has no conversation.
  const target = kind === "user" || kind === "group" ? id : undefined;
  const tag = target === undefined ? push.tag : `relay:${target}`;
  const known = shown.some((/** @type {any} */ one) => one.tag === tag && one.data?.messageId === messageId && messageId !== undefined);
  const renotify = push.renotify !== false && !known;
  const place = { target, seq, messageId, pushed: push.tag };
  await worker.registration.showNotification(title, {
    body, tag, renotify, silent: renotify ? undefined : true, timestamp: timestamp * 1000, icon: `${worker.registration.scope}app/icon.svg`, data: place,
  });
}

/** Go to what a notification tells of: in the page if it is open, else in a new one. @param {any} event */
async function visit({ notification }) {
  notification.close();
  const { target, seq } = notification.data ?? {};
  const { scope } = worker.registration;
  const pages = (await worker.clients.matchAll({ type: "window", includeUncontrolled: true })).filter((/** @type {any} */ one) => one.url.startsWith(scope));
  const page = pages.find((/** @type {any} */ one) => one.visibilityState === "visible") ?? pages[0];
  const hash = target === undefined ? "" : `#/${encodeURIComponent(target)}${seq ? `/${seq}` : ""}`;
  if (!page) return worker.clients.openWindow(scope + hash);
  page.postMessage({ visit: { target, seq } });
  await page.focus();
}

/** The browser made this subscription void: make another, of which the page tells the server, now or when it is opened. @param {any} event */
async function renew({ oldSubscription, newSubscription }) {
  if (!newSubscription && oldSubscription) await worker.registration.pushManager.subscribe(oldSubscription.options);
  for (const page of await worker.clients.matchAll({ type: "window", includeUncontrolled: true })) page.postMessage({ renewed: true });
}

worker.addEventListener("push", (/** @type {any} */ event) => event.data && event.waitUntil(pushed(event)));
worker.addEventListener("notificationclick", (/** @type {any} */ event) => event.waitUntil(visit(event)));
worker.addEventListener("pushsubscriptionchange", (/** @type {any} */ event) => event.waitUntil(renew(event)));

// ---- files of the page

worker.addEventListener("install", () => worker.skipWaiting());
worker.addEventListener("activate", (/** @type {any} */ event) => {
  event.waitUntil(Promise.all([worker.clients.claim(), tried(() => caches.delete(CACHES))])); // the cache of an earlier version of relay
});
worker.addEventListener("message", (/** @type {any} */ event) => {
  // A page that was loading when the worker started is not controlled by it yet.
  event.waitUntil(Promise.all([worker.clients.claim(), keep(event.source.id, event.data.keep)]));
});
worker.addEventListener("fetch", (/** @type {any} */ event) => {
  const { request } = event;
  if (request.method !== "GET" || !isOwn(request.url)) return;
  event.respondWith(request.mode === "navigate" ? open(event) : load(event));
});
