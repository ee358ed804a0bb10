/**
 * Web Push: the server reaches this browser while the page is closed. The browser gives a subscription, the server's plugin
 * `notifications` keeps it as a target, and both end with the session.
 */

import { BASE } from "../session.js";
import { language } from "../words.js";
import { permission } from "./choices.js";

/** @import { Messenger } from "../messenger.js" */

/** The target's id and whose it is. */
const KEY = "relay.push";
const PATIENCE_MS = 3_000;
const WORKER_MS = 10_000;

/** @typedef {"" | "insecure" | "unsupported" | "blocked"} Hindrance */
/** @typedef {{ target_id: string, state: string, last_error: string | null }} Target */

export class WebPush {
  #messenger;

  /** @param {Messenger} messenger */
  constructor(messenger) {
    this.#messenger = messenger;
  }

  /** Why this browser cannot; empty if it can. @returns {Hindrance} */
  get hindrance() {
    if (!globalThis.isSecureContext) return "insecure";
    if (!navigator.serviceWorker || !("PushManager" in globalThis) || !("Notification" in globalThis)) return "unsupported";
    return permission() === "denied" ? "blocked" : "";
  }

  /** Whether this browser has a subscription that the server knows. */
  get isOn() {
    return this.#target !== "";
  }

  /** Subscribe this browser, and tell the server. */
  async turnOn() {
    const registration = await worker();
    const { public_key: key } = await this.#call("GET", "key");
    let subscription = await registration.pushManager.getSubscription();
    if (subscription && !isFor(subscription, key)) {
      await subscription.unsubscribe(); // it is another server's, or that of a database that is gone
      subscription = null;
    }
    subscription ??= await registration.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key });
    const { endpoint, keys } = subscription.toJSON();
    const { target_id: target } = await this.#call("POST", "targets", {
      kind: "webpush",
      endpoint,
      p256dh: keys?.p256dh,
      auth: keys?.auth,
      language,
      // Safari ends a subscription whose pushes show nothing, as those that take back do.
      withdraw: !navigator.vendor.startsWith("Apple"),
      client_id: this.#messenger.socket.clientId,
    });
    keep({ target, user: this.#messenger.session.userId });
  }

  /** End the subscription, here and at the server. */
  async turnOff() {
    const target = this.#target;
    keep(null);
    await unsubscribe();
    // One that the server removed by itself is off already.
    if (target) await this.#call("DELETE", `targets/${target}`).catch((error) => { if (error.code !== "not_found") throw error; });
  }

  /** Have the server send a test. @returns {Promise<{ delivered: boolean, error: string | null }>} */
  test() {
    return this.#call("POST", `targets/${this.#target}/test`);
  }

  /** At a start: tell the server of the subscription, which the browser may have renewed; end one of another user's. */
  async keepUp() {
    if (this.hindrance) return;
    if (this.#target) await this.turnOn();
    else await unsubscribe();
  }

  /** End with the session. The server is told while the token is good, if it can be reached; by a logout it knows as well. */
  async end() {
    if (!this.#target) return;
    await Promise.race([this.turnOff().catch(() => {}), new Promise((resolve) => setTimeout(resolve, PATIENCE_MS))]);
  }

  get #target() {
    try {
      const { target, user } = JSON.parse(localStorage.getItem(KEY) ?? "{}");
      return user === this.#messenger.session.userId ? String(target) : "";
    } catch {
      return ""; // storage is forbidden
    }
  }

  /** @param {string} method @param {string} path @param {object} [body] */
  #call(method, path, body) {
    return this.#messenger.messaging.restApi.request(method, `/api/push/${path}`, body && { body });
  }
}

/** @param {{ target: string, user: string } | null} kept */
function keep(kept) {
  if (kept) localStorage.setItem(KEY, JSON.stringify(kept));
  else localStorage.removeItem(KEY);
}

/** The page's service worker, once it runs. */
async function worker() {
  const late = new Promise((_, reject) => setTimeout(() => reject(new DOMException("no service worker", "NotSupportedError")), WORKER_MS));
  return /** @type {ServiceWorkerRegistration} */ (await Promise.race([navigator.serviceWorker.ready, late]));
}

async function unsubscribe() {
  const registration = await navigator.serviceWorker?.getRegistration(`${BASE}/`);
  await (await registration?.pushManager?.getSubscription())?.unsubscribe();
}

/** Tell whether a subscription is for a server's key. @param {PushSubscription} subscription @param {string} key in base64url */
function isFor({ options: { applicationServerKey: held } }, key) {
  if (!held) return true; // the browser does not say
  const text = btoa(String.fromCharCode(...new Uint8Array(held)));
  return text.replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "") === key;
}
