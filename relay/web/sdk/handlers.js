/** The application's handlers, by message type. */

import { within } from "./clock.js";

/** @import { Clock } from "./clock.js" */
/** @import { Envelope } from "./types.js" */

/** @typedef {{replay: boolean}} Context replay: whether it was missed earlier, and comes from a replay */
/** @typedef {(envelope: Envelope<any>, context: Context) => unknown} Handler */

/** A handler that never ends would hold the cursor back for ever. */
const MAX_HANDLER_SECONDS = 30;

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
   * @param {string} type `*` for all types
   * @param {Handler} handler
   */
  add(type, handler) {
    const handlers = this.byType.get(type) ?? new Set();
    this.byType.set(type, handlers.add(handler));
    return () => void handlers.delete(handler);
  }

  /**
   * Call the handlers, isolated from each other; returns a promise where one of them did.
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
    if (!work.length) return undefined;
    return within(this.#clock, MAX_HANDLER_SECONDS, Promise.all(work), () =>
      this.#onFault(new Error(`a handler for ${envelope.type} was not done within ${MAX_HANDLER_SECONDS} s; the cursor goes on`)),
    );
  }
}
