/** The page at /: the messenger for a signed-in user, the sign-in form for everybody else. */

import { Messenger } from "./messenger.js";
import { BASE, dropSession, endsWithPage, readSession, watchSession, whyEnded } from "./session.js";
import { signIn } from "./sign-in.js";

const place = /** @type {HTMLElement} */ (document.getElementById("relay"));

async function run() {
  if (!readSession()) await signIn(place, whyEnded());
  const session = readSession();
  if (!session) return run();
  const messenger = new Messenger(session, { ending: dropSession, ended: () => void run() });
  if (endsWithPage()) messenger.notices.say("This browser keeps nothing for this page", "You are signed in until it is closed.");
  await messenger.show(place);
}

/** Have a service worker cache the page, so that it opens without the server. Browsers allow this over TLS only. */
async function cachePage() {
  if (!navigator.serviceWorker) return;
  const own = /** @type {any} */ (globalThis).trustedTypes?.createPolicy("relay", {
    createScriptURL: (/** @type {string} */ url) => url,
  });
  const worker = new URL("../service-worker.js", import.meta.url).href;
  await navigator.serviceWorker.register(own?.createScriptURL(worker) ?? worker);
  const { active } = await navigator.serviceWorker.ready;
  const files = new Set([new URL("icons.svg", import.meta.url).href]);
  // All files of the page: those loaded before the worker was there, and those that are loaded on demand.
  const observer = new PerformanceObserver((loaded) => {
    const before = files.size;
    for (const { name } of loaded.getEntries()) if (/^\/(?:app|plugins|sdk)\//.test(name.slice(BASE.length))) files.add(name);
    if (files.size > before) active?.postMessage({ keep: [...files] });
  });
  observer.observe({ type: "resource", buffered: true });
}

watchSession(() => location.reload());
void run();
// Where a browser forbids this, the page works all the same.
addEventListener("load", () => void cachePage().catch((fault) => console.info("relay: the page is not cached:", fault)));
