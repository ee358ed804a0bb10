/** The page at /: who is signed in talks; who is not comes in first. */

import { Messenger } from "./messenger.js";
import { dropSession, endsWithPage, readSession, watchSession } from "./session.js";
import { signIn } from "./sign-in.js";

const place = /** @type {HTMLElement} */ (document.getElementById("relay"));

async function run(notice = "") {
  if (!readSession()) await signIn(place, notice);
  const session = readSession();
  if (!session) return run();
  const messenger = new Messenger(session, { signedOut: (why) => (dropSession(), void run(why)) });
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
  const keep = (/** @type {string[]} */ urls) => active?.postMessage({ keep: urls });
  keep([location.origin + location.pathname]);
  // What was loaded before the worker had the page, or was on its way just then, came past it.
  const observer = new PerformanceObserver((seen) => keep(seen.getEntries().map(({ name }) => name)));
  observer.observe({ type: "resource", buffered: true });
}

watchSession(() => location.reload());
void run();
addEventListener("load", () => void keepAtHand());
