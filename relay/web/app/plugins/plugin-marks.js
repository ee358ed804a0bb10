/**
 * Marks of plugins whose code runs. Code that never ends cannot be interrupted in a browser. So a mark is kept in the
 * browser's storage while a plugin's code runs, and removed in a later task, which code that never ends does not let begin:
 * the next page finds the mark, and sets the plugin's module aside.
 */

const MARK = "relay.plugin-runs/";
const ASIDE = "relay.plugin-aside/";
/** A mark is renewed so often while a module is loaded, which may take long, … */
const RENEWAL_MS = 500;
/** … so that an older one is that of a page which hangs, or was ended while it did. */
const HANGS_MS = 3_000;

/** This page among those of this browser. */
const PAGE = Math.random().toString(36).slice(2);

/** @typedef {{ name: string, version: string }} Plugin */

/** The plugins whose code may run in this task, with their versions. @type {Map<string, string>} */
const running = new Map();
/** @type {Map<string, ReturnType<typeof setInterval>>} */
const loading = new Map();

/** Mark a plugin as running, until this task is over. @param {Plugin} plugin */
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

/** Remove the marks of this page, as it is left and does not hang. */
export function removeMarks() {
  for (const name of [...running.keys(), ...loading.keys()]) remove(markOf(name));
}
