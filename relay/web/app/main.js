/** The page at /: the messenger for a signed-in user, the sign-in form for everybody else. */

import { refuseDrops } from "./composer/drop.js";
import { BASE, dropSession, endsWithPage, isAdministration, readSession, watchSession, whyEnded } from "./session.js";
import { ACTION } from "./way-in/fragments.js";
import { takeBack } from "./way-in/other-ways.js";
import { signIn } from "./way-in/sign-in.js";
import { words } from "./words.js";

const place = /** @type {HTMLElement} */ (document.getElementById("relay"));

async function run() {
  while (ACTION.test(location.hash)) {
    const changed = await (await import("./way-in/links.js")).followLink(place);
    if (changed && readSession()?.userId === changed) dropSession(); // a new password has ended it
  }
  // Who begins to type will need it: it loads meanwhile.
  if (!readSession()) addEventListener("input", () => void import("./messenger.js").catch(() => {}), { once: true });
  if (!readSession()) await signIn(place, whyEnded());
  const session = readSession();
  if (!session) return run();
  if (isAdministration()) {
    const { Administration } = await import("./admin/administration.js");
    return new Administration(session, { ending: dropSession, ended: () => void run() }).show(place);
  }
  const back = takeBack(); // of who was signed in all the time
  const { Messenger } = await import("./messenger.js");
  const messenger = new Messenger(session, { ending: dropSession, ended: () => void run() });
  if (endsWithPage()) messenger.notices.say(words.notices.keepsNothing, words.notices.signedInUntilClosed);
  await messenger.show(place);
  if (back) await import("./settings/sign-in-ways.js").then(({ comeBack }) => comeBack(messenger, back));
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
  /** @type {string[]} */
  const listed = await fetch(`${BASE}/app/files.json`).then((answer) => answer.json());
  const files = new Set(listed.map((path) => `${BASE}/${path}`));
  // Those that are on no list: of plugins, loaded before the worker was there or later.
  active?.postMessage({ keep: [...files] });
  const observer = new PerformanceObserver((loaded) => {
    const before = files.size;
    for (const { name } of loaded.getEntries()) if (/^\/(?:app|plugins|sdk)\//.test(name.slice(BASE.length))) files.add(name);
    if (files.size > before) active?.postMessage({ keep: [...files] });
  });
  observer.observe({ type: "resource", buffered: true });
}

watchSession(() => location.reload());
refuseDrops();
void run();
// Where a browser forbids this, the page works all the same.
addEventListener("load", () => void cachePage().catch((fault) => console.info("relay: the page is not cached:", fault)));
