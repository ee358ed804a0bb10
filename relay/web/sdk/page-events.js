/** What a page learns of its surroundings; where there is no page, nothing. */

/**
 * @typedef {object} Page
 * @property {(name: string, listener: (event: any) => void) => void} addEventListener
 * @property {(name: string, listener: (event: any) => void) => void} removeEventListener
 * @property {{visibilityState: string, addEventListener: Page["addEventListener"], removeEventListener: Page["removeEventListener"]}} document
 */

/**
 * @param {Page | undefined} page the window
 * @param {{online: () => void, offline: () => void, visible: (visible: boolean) => void, leaving: () => void, restored: () => void}} hears
 * @returns {() => void} ends the watch
 */
export function watchPage(page, hears) {
  if (!page?.document) return () => {};
  const { document } = page;
  const online = () => hears.online();
  const offline = () => hears.offline();
  const visibility = () => hears.visible(isVisible(page));
  const hide = () => hears.leaving();
  const show = (/** @type {PageTransitionEvent} */ event) => event.persisted && hears.restored();
  page.addEventListener("online", online);
  page.addEventListener("offline", offline);
  page.addEventListener("pagehide", hide);
  page.addEventListener("pageshow", show);
  document.addEventListener("visibilitychange", visibility);
  document.addEventListener("resume", online);
  return () => {
    page.removeEventListener("online", online);
    page.removeEventListener("offline", offline);
    page.removeEventListener("pagehide", hide);
    page.removeEventListener("pageshow", show);
    document.removeEventListener("visibilitychange", visibility);
    document.removeEventListener("resume", online);
  };
}

/** @param {Page | undefined} page */
export function isVisible(page) {
  return page?.document ? page.document.visibilityState !== "hidden" : true;
}
