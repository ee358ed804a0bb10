/** @import { Backoff } from "./backoff.js" */
/** @import { Clock } from "./clock.js" */

/**
 * Load a module, and try again until it is loaded: without a network this must cost no more than a wait. (Browsers from
 * before 2026 may remember the failure until the page is reloaded.)
 *
 * @template Module
 * @param {() => Promise<Module>} load
 * @param {{ clock: Clock, backoff: Backoff }} settings
 * @param {(fault: unknown) => void} onFault called with each failure
 * @returns {Promise<Module>}
 */
export async function lazyImport(load, { clock, backoff }, onFault) {
  for (let tries = 0; ; tries += 1) {
    try {
      return await load();
    } catch (fault) {
      onFault(fault);
      await /** @type {Promise<void>} */ (new Promise((resolve) => clock.setTimeout(resolve, backoff.delay(tries) * 1000)));
    }
  }
}
