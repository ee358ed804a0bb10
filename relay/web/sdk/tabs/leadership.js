/**
 * Which of a browser's tabs has the connection: the one that holds a Web Lock. The browser frees it when the tab is
 * closed or crashes, and gives it to the next that waits.
 */

/** @typedef {{ request: (name: string, ...how: any[]) => Promise<any> }} Locks as the navigator's; in words that need no browser's declarations */
/** @typedef {new (name: string) => { onmessage: any, postMessage: (data: any) => void, close: () => void }} Channels */

export class Leadership {
  #locks;
  #name;
  #gained;
  #lost;
  /** @type {(() => void) | null} ends the holding */
  #release = null;
  /** @type {AbortController | null} ends the waiting */
  #waiting = null;
  #turn = 0; // what was asked for in an earlier one is not wanted any more

  /**
   * @param {Locks} locks
   * @param {string} name
   * @param {() => void} gained
   * @param {() => void} lost told when another tab took it away
   */
  constructor(locks, name, gained, lost) {
    this.#locks = locks;
    this.#name = name;
    this.#gained = gained;
    this.#lost = lost;
  }

  get held() {
    return this.#release !== null;
  }

  /** Wait in line. */
  seek() {
    if (this.held || this.#waiting) return;
    this.#waiting = new AbortController();
    this.#request({ signal: this.#waiting.signal });
  }

  /** Take it away from a tab that does not answer any more, or has given up. */
  seize() {
    if (this.held) return;
    this.#stopWaiting();
    this.#request({ steal: true });
  }

  /** Give it up, or leave the line. */
  resign() {
    this.#stopWaiting();
    this.#release?.();
    this.#release = null;
  }

  #stopWaiting() {
    this.#turn += 1;
    this.#waiting?.abort();
    this.#waiting = null;
  }

  /** @param {LockOptions} options */
  #request(options) {
    /** @type {() => void} */
    let release = () => {};
    const turn = this.#turn;
    const held = new Promise((resolve) => (release = () => resolve(undefined)));
    const hold = () => {
      if (turn !== this.#turn) return undefined; // and with that it is free again
      this.#waiting = null;
      this.#release = release;
      this.#gained();
      return held;
    };
    // The request fails when it is aborted while it waits, and when the lock is stolen while it is held.
    this.#locks.request(this.#name, options, hold).catch(() => {
      if (this.#release !== release) return;
      this.#release = null;
      this.#lost();
    });
  }
}

/**
 * Hold a lock for as long as this tab lives, so that others can tell; returns what ends it.
 *
 * @param {Locks} locks
 * @param {string} name
 */
export function holdLife(locks, name) {
  /** @type {() => void} */
  let end = () => {};
  const life = new Promise((resolve) => (end = () => resolve(undefined)));
  locks.request(name, { mode: "exclusive" }, () => life).catch(() => {});
  return end;
}

/**
 * Call back when the tab that holds this lock is gone; returns what ends the watch.
 *
 * @param {Locks} locks
 * @param {string} name
 * @param {() => void} gone
 */
export function watchLife(locks, name, gone) {
  const watch = new AbortController();
  locks.request(name, { signal: watch.signal }, () => gone()).catch(() => {});
  return () => watch.abort();
}
