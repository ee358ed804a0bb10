/**
 * Keeps the page at hand while the server is away. Files come from the server; where it does not answer, from what was kept
 * of them. What is said to the server itself (/api, /ws) is none of its business.
 *
 * Rule 1: never two versions at once. The server names the version of its files with each of them (`Relay-Page`); a page
 * gets all of its files in the version that its document came in, from the server or from the cache of that version. Where
 * neither has it, as in an upgrade amid a load, the page is loaded anew.
 *
 * Rule 2: a cache that fails costs nothing. What is written to it is never waited for with an answer; a version is opened
 * without the server only once all of it is kept, and only then the one before goes.
 */

/** @type {any} */
const worker = globalThis;
const CACHES = "relay-page";
/** In a cache of which nothing is missing. */
const WHOLE = "whole";
const VERSION = "Relay-Page";
const OWN = /^(?:app\/|sdk\/|$)/;
/** A file is the same for everybody here, whatever the server would vary it by for others. */
const ANY = { ignoreVary: true };
const RELOAD_APART_MS = 10_000;

/** Which version each page came in; those that were opened last. @type {Map<string, string>} */
const versions = new Map();
const MOST_PAGES = 200;
/** There was no room for these. @type {Set<string>} */
const tooLarge = new Set();
let reloaded = 0;

/** @param {string} url */
function isOwn(url) {
  const { scope } = worker.registration;
  return url.startsWith(scope) && OWN.test(url.slice(scope.length).split(/[?#]/)[0]);
}

/** @param {string} version */
function nameOf(version) {
  return `${CACHES}-${version}`;
}

/**
 * Do something with the caches; without them, or where they fail, it comes to nothing.
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
function kept(version, request) {
  return tried(() => caches.match(request, { ...ANY, cacheName: nameOf(version) }));
}

/** Return the version that is kept as a whole. @returns {Promise<string | undefined>} */
function wholeVersion() {
  return tried(async () => {
    for (const name of await caches.keys()) {
      if (!name.startsWith(`${CACHES}-`)) continue;
      if (await caches.match(worker.registration.scope + WHOLE, { cacheName: name })) return name.slice(CACHES.length + 1);
    }
  });
}

/** @param {Request} request @returns {Promise<Response | null>} null for a server that is away */
async function fromServer(request) {
  const answer = await fetch(request).catch(() => null);
  return answer && answer.status < 500 ? answer : null;
}

/**
 * Answer with the document of a page, which says in which version it gets the rest.
 *
 * @param {any} event
 */
async function open({ request, resultingClientId }) {
  const answer = await fromServer(request);
  const version = answer ? answer.headers.get(VERSION) : await wholeVersion();
  if (version) versions.set(resultingClientId, version);
  if (versions.size > MOST_PAGES) versions.delete(/** @type {string} */ (versions.keys().next().value));
  if (answer) return answer;
  const document = version && (await kept(version, request.url.split(/[?#]/)[0]));
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
  if (answer && (!wanted || answer.headers.get(VERSION) === wanted)) return answer;
  const version = wanted ?? (await wholeVersion()); // this worker may have begun anew since the page was opened
  const file = version && (await kept(version, request));
  if (file) return file;
  if (!answer) return fetch(request);
  if (!answer.ok) return answer; // no file of another version's, but a word of a proxy's, say
  await reload(clientId);
  return Response.error();
}

/** Load a page anew, as its files are another version's by now. @param {string} clientId */
async function reload(clientId) {
  if (Date.now() - reloaded < RELOAD_APART_MS) return;
  reloaded = Date.now();
  const client = await worker.clients.get(clientId);
  await client?.navigate(client.url).catch(() => {}); // it is gone
}

/**
 * Keep all files of a page's version.
 *
 * @param {string} clientId
 * @param {string[]} urls all that it has loaded
 */
async function keep(clientId, urls) {
  const whole = await wholeVersion();
  const known = versions.get(clientId);
  if (known && (tooLarge.has(known) || (known === whole && (await allKept(known, urls))))) return;
  const document = await fromServer(new Request(worker.registration.scope));
  const version = document?.headers.get(VERSION);
  if (!document?.ok || !version || version !== (known ?? version)) return; // an upgraded server: the next load sees to it
  const filled = await tried(() => fill(version, document, urls.filter(isOwn)));
  if (filled === undefined) tooLarge.add(version);
  const others = await tried(() => caches.keys());
  for (const name of others ?? []) {
    // What could not be kept is of no use, and takes room.
    const goes = filled ? name !== nameOf(version) : name === nameOf(version) && whole !== version;
    if (goes && name.startsWith(CACHES)) await tried(() => caches.delete(name));
  }
}

/** @param {string} version @param {string[]} urls */
async function allKept(version, urls) {
  for (const url of urls.filter(isOwn)) if (!(await kept(version, url))) return false;
  return true;
}

/**
 * @param {string} version
 * @param {Response} document
 * @param {string[]} urls
 * @returns {Promise<boolean>} whether all of it is kept
 */
async function fill(version, document, urls) {
  const cache = await caches.open(nameOf(version));
  await cache.put(worker.registration.scope, document);
  for (const url of new Set(urls)) {
    if (url === worker.registration.scope || (await cache.match(url, ANY))) continue;
    const file = await fromServer(new Request(url));
    if (!file?.ok || file.headers.get(VERSION) !== version) return false;
    await cache.put(url, file);
  }
  await cache.put(worker.registration.scope + WHOLE, new Response());
  return true;
}

worker.addEventListener("install", () => worker.skipWaiting());
worker.addEventListener("activate", (/** @type {any} */ event) => {
  event.waitUntil(Promise.all([worker.clients.claim(), tried(() => caches.delete(CACHES))])); // the one of an earlier version
});
worker.addEventListener("message", (/** @type {any} */ event) => {
  // A page that was on its way when the worker began is not the worker's yet.
  event.waitUntil(Promise.all([worker.clients.claim(), keep(event.source.id, event.data.keep)]));
});
worker.addEventListener("fetch", (/** @type {any} */ event) => {
  const { request } = event;
  if (request.method !== "GET" || !isOwn(request.url)) return;
  event.respondWith(request.mode === "navigate" ? open(event) : load(event));
});
