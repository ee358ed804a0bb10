/**
 * The guard of plugins' page modules: what they throw or return by mistake costs the page nothing, and is told to the
 * plugin's author. Code that never ends cannot be interrupted in a browser. So a mark is kept while a plugin's code runs,
 * and removed in a later task, which code that never ends does not let begin: the next page finds the mark, and sets the
 * plugin's module aside.
 */

const MARK = "relay.plugin-runs/";
const ASIDE = "relay.plugin-aside/";
/** A mark is renewed so often while a module is loaded, which may take long, … */
const RENEWAL_MS = 500;
/** … so that an older one is that of a page which hangs, or was ended while it did. */
const HANGS_MS = 3_000;
const MAX_TOLD = 20;
const MAX_TEXT = 2_000;
/** The events in which a plugin's listeners may run. */
const EVENTS = ["click", "pointerdown", "pointerup", "keydown", "keyup", "input", "change", "submit", "focusin", "focusout", "toggle"];

/** This page among those of this browser. */
const PAGE = Math.random().toString(36).slice(2);

/** @typedef {"load" | "shape" | "draw" | "text" | "press" | "later" | "hang"} FaultKind */
/** @typedef {{ plugin: string, kind: FaultKind, text: string }} Fault */
/** @typedef {{ name: string, version: string }} Plugin */

/** The plugins whose code may run in this task. @type {Map<string, string>} */
const running = new Map();
/** @type {Map<string, ReturnType<typeof setInterval>>} */
const loading = new Map();
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
  const text = `${where}: ${fault instanceof Error ? `${fault.name}: ${fault.message}` : String(fault)}`.slice(0, MAX_TEXT);
  const once = `${plugin} ${kind} ${text}`;
  if (told.has(once) || told.size >= MAX_TOLD) return;
  told.add(once);
  console.error(`relay: the page module of the plugin ${plugin} failed: ${text}`, fault);
  if (sender) sender({ plugin, kind, text });
  else waiting.push({ plugin, kind, text });
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

// ---- marks

/** @param {Plugin} plugin */
export function mark({ name, version }) {
  if (running.has(name) || loading.has(name)) return;
  running.set(name, version);
  note(name, version);
  if (running.size === 1) setTimeout(clear);
}

function clear() {
  for (const name of running.keys()) if (!loading.has(name)) remove(markOf(name));
  running.clear();
}

/**
 * Keep a plugin marked until the returned function is called.
 *
 * @param {Plugin} plugin
 */
export function markLoading({ name, version }) {
  note(name, version);
  loading.set(name, setInterval(() => note(name, version), RENEWAL_MS));
  return () => {
    clearInterval(loading.get(name));
    loading.delete(name);
    remove(markOf(name));
  };
}

/**
 * Set aside the plugins that another page hung in.
 *
 * @returns {Set<string>} their names
 */
export function findHanging() {
  const found = new Set();
  for (const key of keys(MARK)) {
    const [at, version] = (read(key) ?? "").split(" ");
    if (Date.now() - Number(at) < HANGS_MS) continue; // another tab, which runs
    const name = key.slice(MARK.length).split("/")[0];
    remove(key);
    write(ASIDE + name, version);
    found.add(name);
  }
  return found;
}

/** Tell whether a plugin's module is set aside. A new version of it is not. @param {Plugin} plugin */
export function isAside({ name, version }) {
  return read(ASIDE + name) === version;
}

/** @param {string} name */
export function takeBack(name) {
  remove(ASIDE + name);
}

/** @param {string} name @param {string} version */
function note(name, version) {
  write(markOf(name), `${Date.now()} ${version}`);
}

/** @param {string} name */
function markOf(name) {
  return `${MARK}${name}/${PAGE}`;
}

// Storage may be forbidden: then nothing is marked, and nothing set aside.

/** @param {string} key */
function read(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

/** @param {string} key @param {string} value */
function write(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch {
    // as above
  }
}

/** @param {string} key */
function remove(key) {
  try {
    localStorage.removeItem(key);
  } catch {
    // as above
  }
}

/** @param {string} start */
function keys(start) {
  try {
    return Object.keys(localStorage).filter((key) => key.startsWith(start));
  } catch {
    return [];
  }
}

/** Watch for what plugins' code does after the page has called it: it harms nothing, and its author is told. */
export function watchLater() {
  const blame = (/** @type {unknown} */ fault, /** @type {string} */ at) => {
    const plugin = at.match(/\/plugins\/([a-z][a-z0-9_]*)\//)?.[1];
    if (plugin) tell(plugin, "later", "after it was called", fault);
  };
  addEventListener("error", ({ error, filename }) => blame(error, filename || error?.stack || ""));
  addEventListener("unhandledrejection", ({ reason }) => blame(reason, reason?.stack ?? ""));
  addEventListener("pagehide", () => [...running.keys(), ...loading.keys()].forEach((name) => remove(markOf(name))));
}
