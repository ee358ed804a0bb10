/**
 * The guard of plugins' page modules: what they throw or return by mistake costs the page nothing, and is told to the
 * plugin's author.
 */

import { mark, removeMarks } from "./plugin-marks.js";

/** @import { Plugin } from "./plugin-marks.js" */

const MAX_TOLD = 20;
const MAX_TEXT = 2_000;
/** The events in which a plugin's listeners may run. */
const EVENTS = ["click", "pointerdown", "pointerup", "keydown", "keyup", "input", "change", "submit", "focusin", "focusout", "toggle"];

/** @typedef {"load" | "shape" | "draw" | "text" | "press" | "later" | "hang"} FaultKind */
/** @typedef {{ plugin: string, kind: FaultKind, text: string }} Fault */

/** @type {Set<string>} */
const told = new Set();
/** Sends a fault to the server; set while somebody is signed in. @type {((fault: Fault) => void) | null} */
let sender = null;
/** Faults that nobody could send yet. @type {Fault[]} */
let waiting = [];

/** @param {((fault: Fault) => void) | null} send */
export function sendFaultsBy(send) {
  sender = send;
  if (send) for (const fault of waiting.splice(0)) send(fault);
}

/**
 * Tell a plugin's author of a fault, once for each kind and text: in the console, and in the server's log.
 *
 * @param {string} plugin
 * @param {FaultKind} kind
 * @param {string} where
 * @param {unknown} fault
 */
export function tell(plugin, kind, where, fault) {
  const text = `${where}: ${inWords(fault)}`.slice(0, MAX_TEXT);
  const once = `${plugin} ${kind} ${text}`;
  if (told.has(once) || told.size >= MAX_TOLD) return;
  told.add(once);
  console.error(`relay: the page module of the plugin ${plugin} failed: ${text}`, fault);
  if (sender) sender({ plugin, kind, text });
  else waiting.push({ plugin, kind, text });
}

/** @param {any} fault */
function inWords(fault) {
  try {
    return fault instanceof Error ? `${fault.name}: ${fault.message}` : String(fault);
  } catch {
    return "it raised what cannot be read";
  }
}

/**
 * Run a plugin's code.
 *
 * @template Value
 * @param {Plugin} plugin
 * @param {FaultKind} kind
 * @param {string} where for the author
 * @param {() => any} run
 * @param {(made: any) => Value} accept returns what was made, or throws for what it must not be
 * @returns {Value | null} null where it failed
 */
export function guarded(plugin, kind, where, run, accept) {
  mark(plugin);
  try {
    const made = run();
    if (isPromise(made)) {
      made.then(null, (/** @type {unknown} */ fault) => tell(plugin.name, kind, where, fault));
      throw new TypeError("it returned a promise; it returns at once, and is called again when something changes");
    }
    return accept(made);
  } catch (fault) {
    tell(plugin.name, kind, where, fault);
    return null;
  }
}

/**
 * Run what a plugin does when a button is pressed. It may take its time.
 *
 * @param {Plugin} plugin
 * @param {string} label
 * @param {() => unknown} press
 */
export function pressed(plugin, label, press) {
  const failed = (/** @type {unknown} */ fault) => tell(plugin.name, "press", `press of ${label}`, fault);
  mark(plugin);
  try {
    void Promise.resolve(press()).catch(failed);
  } catch (fault) {
    failed(fault);
  }
}

/**
 * Return a promise after whose answer the plugin's code is marked as running.
 *
 * @template Value
 * @param {Plugin} plugin
 * @param {PromiseLike<Value>} promise
 * @returns {Promise<Value>}
 */
export async function marked(plugin, promise) {
  try {
    return await promise;
  } finally {
    mark(plugin);
  }
}

/**
 * Draw a box around what a plugin drew. Its listeners run under a mark.
 *
 * @param {Plugin} plugin
 * @param {Element} content
 */
export function boxed(plugin, content) {
  const box = document.createElement("div");
  box.className = "plugin";
  box.dataset.plugin = plugin.name;
  for (const event of EVENTS) box.addEventListener(event, () => mark(plugin), { capture: true });
  box.append(content);
  return box;
}

/**
 * Return an element that a plugin drew.
 *
 * @param {any} made
 * @returns {Element}
 */
export function acceptElement(made) {
  if (typeof made === "string") throw new TypeError("it returned a text; make an element with dom.js: markup is never read");
  if (!(made instanceof HTMLElement || made instanceof SVGElement)) throw new TypeError(`it returned ${made}; return an element`);
  if (made.isConnected && !made.closest("[data-plugin]")) throw new TypeError("it returned an element of the page; return a new one");
  return made;
}

/** @param {any} made */
export function acceptText(made) {
  if (typeof made !== "string") throw new TypeError(`it returned ${made}; return a text`);
  return made;
}

/** @param {any} made */
function isPromise(made) {
  return typeof made?.then === "function";
}

/** Watch for what plugins' code does after the page has called it: it harms nothing, and its author is told. */
export function watchLater() {
  const blame = (/** @type {unknown} */ fault, /** @type {string} */ at) => {
    const plugin = at.match(/\/plugins\/([a-z][a-z0-9_]*)\//)?.[1];
    if (plugin) tell(plugin, "later", "after it was called", fault);
  };
  addEventListener("error", ({ error, filename }) => blame(error, `${filename} ${error?.stack}`));
  addEventListener("unhandledrejection", ({ reason }) => blame(reason, String(reason?.stack)));
  addEventListener("pagehide", removeMarks);
}
