/** The application's handlers by message type, and what they have begun and not finished. */

import { Timer } from "./clock.js";

/** @import { Clock } from "./clock.js" */
/** @import { Envelope } from "./types.js" */

/** @typedef {{replay: boolean}} Context whether it was missed earlier and comes from a replay */
/** @typedef {(envelope: Envelope<any>, context: Context) => unknown} Handler */

const LONGEST_SECONDS = 30;

export class Handlers {
  /** @type {Map<string, Set<Handler>>} */
  byType = new Map();
  #clock;
  #onFault;

  /**
   * @param {Clock} clock
   * @param {(fault: unknown) => void} onFault
   */
  constructor(clock, onFault) {
    this.#clock = clock;
    this.#onFault = onFault;
  }

  /**
   * @param {string} type `*` for all
   * @param {Handler} handler
   */
  add(type, handler) {
    const handlers = this.byType.get(type) ?? new Set();
    this.byType.set(type, handlers.add(handler));
    return () => void handlers.delete(handler);
  }

  /**
   * Call the handlers, each whatever the others do; gives a promise where any of them gave one.
   *
   * @param {Envelope<any>} envelope
   * @param {Context} context
   * @returns {Promise<unknown> | undefined}
   */
  call(envelope, context) {
    /** @type {Promise<unknown>[]} */
    const work = [];
    for (const name of [envelope.type, "*"]) {
      for (const handler of [...(this.byType.get(name) ?? [])]) {
        try {
          const result = handler(envelope, context);
          if (result instanceof Promise) work.push(result.catch(this.#onFault));
        } catch (fault) {
          this.#onFault(fault);
        }
      }
    }
    return work.length ? this.#within(Promise.all(work), envelope.type) : undefined;
  }

  /**
   * A handler that never ends would hold the cursor for ever.
   *
   * @param {Promise<unknown>} work
   * @param {string} type
   */
  #within(work, type) {
    const deadline = new Timer(this.#clock);
    const late = new Promise((resolve) => {
      deadline.set(LONGEST_SECONDS, () => {
        this.#onFault(new Error(`a handler for ${type} was not done within ${LONGEST_SECONDS} s; the cursor goes on`));
        resolve(undefined);
      });
    });
    return Promise.race([work, late]).finally(() => deadline.stop());
  }
}
