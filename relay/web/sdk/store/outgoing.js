/** Passes the messages of this device on to a state, from the moment they are written. */

import { SentMessage } from "../sent-message.js";

/**
 * @import { MessagingAPI } from "../messaging-api.js"
 * @import { Outgoing as Sent } from "./optimistic.js"
 * @import { State } from "./state.js"
 */

export class Outgoing {
  /** @type {WeakSet<object>} the messages whose waiting is noted */
  #watched = new WeakSet();
  #messaging;
  #state;
  #end;

  /** @param {MessagingAPI} messaging @param {() => State} state */
  constructor(messaging, state) {
    this.#messaging = messaging;
    this.#state = state;
    this.#end = messaging.onSent((sent) => this.#take(sent));
  }

  /** Take all that the outbox has: at the start, and into a state that begins anew. */
  takeAll() {
    for (const sent of this.#messaging.outgoing) {
      this.#watch(sent);
      this.#state().sent(sent, false);
    }
  }

  close() {
    this.#end();
  }

  /** @param {Sent} sent */
  #take(sent) {
    this.#watch(sent);
    const held = sent.state !== "failed" || this.#messaging.outgoing.some(({ id }) => id === sent.id);
    this.#state().sent(sent, !held);
  }

  /**
   * Note it, too, when a message goes on waiting because the server could not take it yet: `error` says why.
   *
   * @param {Sent} sent
   */
  #watch(sent) {
    if (this.#watched.has(sent) || !(sent instanceof SentMessage)) return;
    this.#watched.add(sent);
    sent.onChange(({ state, error }) => {
      if (state === "queued" && error) this.#state().sent(sent, false);
    });
  }
}
