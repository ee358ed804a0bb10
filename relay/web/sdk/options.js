/** What a SocketManager can be told, and what it does when it is not. */

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
 * @property {string} [clientId] the device's own lasting id; by default one is made and kept in the storage
 * @property {"auto" | Storage | Promise<Storage>} [storage] "auto" is IndexedDB where there is one, else memory
 * @property {string} [name] what the storage and the tabs go by: one for each account that is used in this browser or folder
 * @property {any} [WebSocket] a class like the browser's; needed in Node before 22
 * @property {typeof fetch} [fetch]
 * @property {boolean} [tabs] whether the tabs of a browser share one connection; by default where they can
 * @property {AbortSignal} [signal] disconnects when it is aborted
 * @property {{base?: number, cap?: number}} [backoff] seconds between tries: up to 0.5 at first, up to 30 in the end
 * @property {number} [ackSeconds] at most one ack in so many seconds; 1
 * @property {number} [outboxLimit] messages that may wait for their answer; 10,000
 * @property {number} [inFlight] messages to one target that may be on the wire at once; 1
 * @property {number} [fillLimit] messages that may be missing in a conversation for the gap to be filled at once; 200
 * @property {"inactive" | "none"} [background] whether a page that nobody sees makes the device inactive; "inactive"
 * @property {() => number} [random] from 0 to 1, for tests, as are the next
 * @property {Clock} [clock]
 * @property {Page} [page] in place of the window
 * @property {Locks} [locks] in place of the navigator's
 * @property {Channels} [BroadcastChannel]
 */

/**
 * @param {string} baseUrl
 * @param {unknown} token
 * @param {SocketOptions} options
 * @throws {TypeError} There is no such address, or nothing that speaks WebSocket.
 */
export function readOptions(baseUrl, token, options) {
  const around = /** @type {any} */ (globalThis);
  check({ authToken: token, options }, { ...options, storage: options?.storage === "auto" ? null : options?.storage });
  const address = socketAddress(baseUrl);
  const name = `${address.replace(/^wss?:\/\//, "")}:${options.name ?? "default"}`;
  const { page = around.document ? around : undefined } = options;
  const WebSocket = options.WebSocket ?? around.WebSocket;
  if (!WebSocket) throw new TypeError("there is no WebSocket here: pass options.WebSocket, such as the package ws");
  const locks = options.locks ?? (page ? around.navigator?.locks : undefined);
  const Channel = options.BroadcastChannel ?? around.BroadcastChannel;
  const tabs = (options.tabs ?? true) && locks && Channel ? { name, token, locks, BroadcastChannel: Channel } : null;
  const patience = { clock: options.clock ?? systemClock, backoff: new Backoff({ ...options.backoff, random: options.random }) };
  return {
    address,
    WebSocket,
    tabs,
    page,
    prefix: `${name}/${tabs || options.storage ? "" : tabName(around)}`,
    storage: (/** @type {(fault: unknown) => void} */ onFault) => openStorage(options.storage ?? "auto", patience, onFault),
    ...patience,
    ackSeconds: options.ackSeconds ?? 1,
    limit: options.outboxLimit ?? 10_000,
    inFlight: options.inFlight ?? 1,
    fillLimit: options.fillLimit ?? 200,
    clientId: options.clientId,
    background: options.background ?? "inactive",
  };
}

/** @typedef {ReturnType<typeof readOptions>} Settings */

/**
 * @param {"auto" | Storage | Promise<Storage>} storage
 * @param {{ clock: Clock, backoff: Backoff }} patience
 * @param {(fault: unknown) => void} onFault
 */
async function openStorage(storage, patience, onFault) {
  if (storage !== "auto") return storage;
  const { autoStorage } = await lazyImport(() => import("./storage/auto.js"), patience, onFault);
  return autoStorage(onFault);
}

/**
 * Without Web Locks (a page without TLS) the tabs cannot agree on who sends: each is a device of its own, over its
 * reloads.
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
