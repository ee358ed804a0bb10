/**
 * Keeps the page at hand while the server is away: files come from the server, and where it does not answer, from what
 * they were last. What is said to the server itself (/api, /ws) is none of its business.
 */

/** @type {any} */
const worker = globalThis;
const KEPT = "relay-page";
const OWN = /^(?:app\/|sdk\/|$)/;
/** A file is the same for everybody here, whatever the server would vary it by for others. */
const ANY = { ignoreVary: true };

/** @param {string} url */
function isOwn(url) {
  return (
    url.startsWith(worker.registration.scope) && OWN.test(url.slice(worker.registration.scope.length).split(/[?#]/)[0])
  );
}

/** @param {Request} request */
async function fromServer(request) {
  const cache = await caches.open(KEPT);
  try {
    const answer = await fetch(request);
    if (answer.ok) await cache.put(request, answer.clone());
    return answer.status < 500 ? answer : ((await cache.match(request, ANY)) ?? answer);
  } catch (error) {
    const kept = await cache.match(request, ANY);
    if (kept) return kept;
    throw error;
  }
}

/** @param {string[]} urls */
async function keep(urls) {
  const cache = await caches.open(KEPT);
  const missing = [];
  for (const url of urls.filter(isOwn)) if (!(await cache.match(url, ANY))) missing.push(url);
  await cache.addAll(missing);
}

worker.addEventListener("install", () => worker.skipWaiting());
worker.addEventListener("activate", (/** @type {any} */ event) => event.waitUntil(worker.clients.claim()));
worker.addEventListener("message", (/** @type {any} */ event) => event.waitUntil(keep(event.data.keep)));
worker.addEventListener("fetch", (/** @type {any} */ event) => {
  if (event.request.method === "GET" && isOwn(event.request.url)) event.respondWith(fromServer(event.request));
});
