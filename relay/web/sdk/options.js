/** The options of a SocketManager, and their defaults. */

import { socketAddress } from "./address.js";
import { Backoff } from "./backoff.js";
import { check } from "./checks.js";
import { systemClock } from "./clock.js";
import { generateUniqueId } from "./ids.js";
import { lazyImport } from "./lazy-import.js";

/** @import { Clock } from "./clock.js" */
/** @import { Page } from "./page-events.js" */
/** @import { Storage } from "./storage/memory.js" */
/** @import { Channels, Locks } from "./tabs/leadership.js" */

/**
 * @typedef {object} SocketOptions
 * @property {string} [clientId] the device's own lasting id; by default a random one, kept in the storage
 * @property {"auto" | Storage | Promise<Storage>} [storage] "auto" is IndexedDB where there is one, else memory
 * @property {string} [name] names the storage and the group of tabs: one for each account used in this browser or folder
 * @property {any} [WebSocket] a class like the browser's; needed in Node before 22
 * @property {typeof fetch} [fetch]
 * @property {boolean} [tabs] whether the tabs of a browser share one connection; by default where they can
 * @property {AbortSignal} [signal] disconnects when aborted
 * @property {{base?: number, cap?: number}} [backoff] seconds between tries: up to 0.5 at first, up to 30 in the end
 * @property {number} [ackSeconds] at most one ack in so many seconds; 1
 * @property {number} [outboxLimit] the most messages that may wait for their answer; 10,000
 * @property {number} [inFlight] the most messages to one target on the wire at once; 1
 * @property {number} [fillLimit] the largest gap, in messages, that is filled at once; 200
 * @property {"inactive" | "none"} [background] whether a hidden page makes the device inactive; "inactive"
 * @property {() => number} [random] from 0 to 1; this and the next ones are for tests
 * @property {Clock} [clock]
 * @property {Page} [page] in place of the window
 * @property {Locks} [locks] in place of the navigator's
 * @property {Channels} [BroadcastChannel]
 */

/**
 * Check the options, and fill in the defaults.
 *
 * @param {string} baseUrl
 * @param {unknown} token
 * @param {SocketOptions} options
 * @throws {TypeError} The address is wrong, or this platform has no WebSocket.
 */
export function readOptions(baseUrl, token, options) {
  const around = /** @type {any} */ (globalThis);
  check({ authToken: token, options }, { ...options, storage: options?.storage === "auto" ? null : options?.storage });
  const address = socketAddress(baseUrl);
  const name = `${address.replace(/^wss?:\/\//, "")}:${options.name ?? "default"}`;
  const { page = around.document ? around : undefined } = options;
  const WebSocket = options.WebSocket ?? around.WebSocket;
  if (!WebSocket) throw new TypeError("there is no WebSocket here: pass options.WebSocket, such as ws");
  const locks = options.locks ?? (page ? around.navigator?.locks : undefined);
  const Channel = options.BroadcastChannel ?? around.BroadcastChannel;
  const tabs = (options.tabs ?? true) && locks && Channel ? { name, token, locks, BroadcastChannel: Channel } : null;
  const timing = { clock: options.clock ?? systemClock, backoff: new Backoff({ ...options.backoff, random: options.random }) };
  return {
    address,
    WebSocket,
    tabs,
    page,
    prefix: `${name}/${tabs || options.storage ? "" : tabName(around)}`,
    storage: (/** @type {(fault: unknown) => void} */ onFault) => openStorage(options.storage ?? "auto", timing, onFault),
    ...timing,
    ackSeconds: options.ackSeconds ?? 1,
    limit: options.outboxLimit ?? 10_000,
    inFlight: options.inFlight ?? 1,
    fillLimit: options.fillLimit ?? 200,
    clientId: options.clientId ?? undefined,
    background: options.background ?? "inactive",
  };
}

/** @typedef {ReturnType<typeof readOptions>} Settings */

/**
 * @param {"auto" | Storage | Promise<Storage>} storage
 * @param {{ clock: Clock, backoff: Backoff }} timing
 * @param {(fault: unknown) => void} onFault
 */
async function openStorage(storage, timing, onFault) {
  if (storage !== "auto") return storage;
  const { autoStorage } = await lazyImport(() => import("./storage/auto.js"), timing, onFault);
  return autoStorage(onFault);
}

/**
 * Return a storage prefix for this tab. Without Web Locks (a page without TLS) tabs cannot agree on which one sends, so each
 * tab is a device of its own, over its reloads.
 *
 * @param {any} around
 */
function tabName(around) {
  try {
    const known = around.sessionStorage.getItem("relay-sdk-tab") ?? generateUniqueId();
    around.sessionStorage.setItem("relay-sdk-tab", known);
    return `${known}/`;
  } catch {
    return ""; // no page, or one that may store nothing: then the storage is in memory anyway
  }
}
