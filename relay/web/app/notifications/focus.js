/**
 * Which conversation somebody looks at, in whichever tab of this browser: the tab with the focus holds a lock that names it.
 * A lock is free again when its tab crashes.
 */

import { readHash } from "../address.js";
import { BASE } from "../session.js";

const PREFIX = `relay-focus ${BASE} `;
const EVENTS = ["focus", "blur", "hashchange", "pagehide", "pageshow"];

export class Focus {
  /** Frees the lock. @type {(() => void) | null} */
  #release = null;
  /** The lock that is to be held; empty for none. */
  #wanted = "";

  constructor() {
    for (const name of EVENTS) addEventListener(name, this.#changed);
    document.addEventListener("visibilitychange", this.#changed);
    this.#changed();
  }

  /** The conversation in the tab that somebody looks at: empty where none is open there, null where nobody looks. */
  async conversation() {
    if (looks()) return readHash(location.hash).id;
    const { held = [] } = (await navigator.locks?.query()) ?? {};
    const lock = held.find(({ name }) => name?.startsWith(PREFIX))?.name;
    return lock === undefined ? null : lock.slice(PREFIX.length);
  }

  close() {
    for (const name of EVENTS) removeEventListener(name, this.#changed);
    document.removeEventListener("visibilitychange", this.#changed);
    this.#wanted = "";
    this.#release?.();
  }

  #changed = () => {
    const wanted = looks() ? PREFIX + readHash(location.hash).id : "";
    if (wanted === this.#wanted || !navigator.locks) return;
    this.#wanted = wanted;
    this.#release?.();
    this.#release = null;
    if (!wanted) return;
    const hold = () => (this.#wanted === wanted ? new Promise((resolve) => (this.#release = () => resolve(null))) : null);
    navigator.locks.request(wanted, { mode: "shared" }, hold).catch(() => {}); // the document is going away
  };
}

function looks() {
  return document.visibilityState === "visible" && document.hasFocus();
}
