/** The browser's events about a page and its network; where there is no page, there are none. */

/**
 * @typedef {object} Page
 * @property {(name: string, listener: (event: any) => void) => void} addEventListener
 * @property {(name: string, listener: (event: any) => void) => void} removeEventListener
 * @property {{visibilityState: string, addEventListener: Page["addEventListener"], removeEventListener: Page["removeEventListener"]}} document
 */

/**
 * @typedef {object} PageCallbacks
 * @property {() => void} online
 * @property {() => void} offline
 * @property {(visible: boolean) => void} visible
 * @property {() => void} leaving the page is closed, or put into the browser's back/forward cache
 * @property {() => void} restored it comes back from there
 */

/**
 * Call back at the page's events; returns what ends that.
 *
 * @param {Page | undefined} page the window
 * @param {PageCallbacks} callbacks
 * @returns {() => void}
 */
export function watchPage(page, { online, offline, visible, leaving, restored }) {
  if (!page?.document) return () => {};
  const { document } = page;
  /** @type {[Pick<Page, "addEventListener" | "removeEventListener">, string, (event: any) => void][]} */
  const listeners = [
    [page, "online", online],
    [page, "offline", offline],
    [page, "pagehide", leaving],
    [page, "pageshow", (event) => event.persisted && restored()],
    [document, "visibilitychange", () => visible(isVisible(page))],
    [document, "resume", online], // a frozen tab runs again: its connection may be dead
  ];
  for (const [target, name, listener] of listeners) target.addEventListener(name, listener);
  return () => {
    for (const [target, name, listener] of listeners) target.removeEventListener(name, listener);
  };
}

/** @param {Page | undefined} page */
export function isVisible(page) {
  return page?.document?.visibilityState !== "hidden";
}
