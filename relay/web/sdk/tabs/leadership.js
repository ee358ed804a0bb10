/**
 * Leader election among the tabs of a browser: the tab that holds a Web Lock leads, and has the connection. The browser
 * frees the lock when the tab is closed or crashes, and gives it to the next tab that waits.
 */

/** @typedef {{ request: (name: string, ...how: any[]) => Promise<any> }} Locks the navigator's, declared here for programs without a browser's declarations */
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
  #turn = 0; // a lock that was requested in an earlier turn is not wanted any more

  /**
   * @param {Locks} locks
   * @param {string} name
   * @param {() => void} gained
   * @param {() => void} lost called when another tab took the lock away
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

  /** Wait for the lock. */
  seek() {
    if (this.held || this.#waiting) return;
    this.#waiting = new AbortController();
    this.#request({ signal: this.#waiting.signal });
  }

  /** Take the lock away from a tab that does not answer, or has given up. */
  seize() {
    if (this.held) return;
    this.#stopWaiting();
    this.#request({ steal: true });
  }

  /** Free the lock, or stop waiting for it. */
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
      if (turn !== this.#turn) return undefined; // that frees the lock again
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
 * Hold a lock for as long as this tab lives, by which the leader notices its end. Returns a function that frees it.
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
 * Call back when the tab that holds this lock is gone. Returns a function that ends the watch.
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
