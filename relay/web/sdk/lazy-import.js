/** @import { Backoff } from "./backoff.js" */
/** @import { Clock } from "./clock.js" */

/**
 * Load a module that is needed, again and again: a network that is away while it is loaded must not cost more than a
 * wait. (Browsers of before 2026 may remember the failure until the page is loaded anew.)
 *
 * @template Module
 * @param {() => Promise<Module>} load
 * @param {{ clock: Clock, backoff: Backoff }} patience
 * @param {(fault: unknown) => void} onFault told of each failure
 * @returns {Promise<Module>}
 */
export async function lazyImport(load, { clock, backoff }, onFault) {
  for (let tries = 0; ; tries += 1) {
    try {
      return await load();
    } catch (fault) {
      onFault(fault);
      await new Promise((resolve) => clock.setTimeout(() => resolve(undefined), backoff.delay(tries) * 1000));
    }
  }
}
