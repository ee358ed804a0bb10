/** The page at /: who is signed in talks; who is not comes in first. */

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

/** Keep what was loaded at hand, so that the page opens without the server, too. Only where the browser trusts the address. */
async function keepAtHand() {
  if (!navigator.serviceWorker) return;
  const own = /** @type {any} */ (globalThis).trustedTypes?.createPolicy("relay", {
    createScriptURL: (/** @type {string} */ url) => url,
  });
  const worker = new URL("../service-worker.js", import.meta.url).href;
  await navigator.serviceWorker.register(own?.createScriptURL(worker) ?? worker);
  const { active } = await navigator.serviceWorker.ready;
  const files = new Set([new URL("icons.svg", import.meta.url).href]);
  // All that belongs to the page, whether it was loaded before the worker had it or is loaded only when it is needed.
  const observer = new PerformanceObserver((seen) => {
    const before = files.size;
    for (const { name } of seen.getEntries()) if (/^\/(?:app|sdk)\//.test(name.slice(BASE.length))) files.add(name);
    if (files.size > before) active?.postMessage({ keep: [...files] });
  });
  observer.observe({ type: "resource", buffered: true });
}

watchSession(() => location.reload());
void run();
// Where a browser forbids that, the page works all the same.
addEventListener("load", () => void keepAtHand().catch((fault) => console.info("relay: the page is not kept at hand:", fault)));
