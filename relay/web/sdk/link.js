/** Keeps a client connected: dials, and decides when to come back. */

import { check } from "./checks.js";
import { Timer } from "./clock.js";
import { LOST, RESYNC, TOKEN_REFUSED, isFinal, retryAfter } from "./close-codes.js";
import { Connection } from "./connection.js";
import { ConnectionClosed, RelayError } from "./errors.js";

/** @import { Backoff } from "./backoff.js" */
/** @import { Clock } from "./clock.js" */
/** @import { Envelope } from "./types.js" */

/** @typedef {"disconnected" | "connecting" | "replaying" | "connected" | "reconnecting" | "closed"} ConnectionState */
/** @typedef {"first" | "reconnect" | "refused"} Reason */

/**
 * @typedef {object} Circumstances
 * @property {string} address
 * @property {any} WebSocket
 * @property {() => Promise<string>} why asks the server what is wrong with its address
 * @property {Clock} clock
 * @property {Backoff} backoff
 * @property {(reason: Reason) => unknown} token the token, or a promise of one
 * @property {() => boolean} renewable whether a refused token may be asked for anew
 * @property {(token: unknown) => Record<string, unknown>} hello
 * @property {() => number | null} cursor
 * @property {(frame: Envelope<any>) => void} onFrame
 * @property {(code: number, reason: string) => void} onLost
 * @property {(state: ConnectionState, detail: {error?: Error, retryIn?: number}) => void} onState
 */

const TOKEN_SECONDS = 30;

export class Link {
  attempts = 0;
  /** @type {Connection | null} */
  connection = null;
  /** @type {ConnectionState} */
  state = "disconnected";
  #around;
  #pause;
  /** @type {number | null} */
  #liveSince = null;
  /** @type {Reason} */
  #reason = "first";
  #dialled = 0;
  #due = 0;
  /** What is wrong with the address, as far as somebody has found out. */
  #why = "";

  /** @param {Circumstances} around */
  constructor(around) {
    this.#around = around;
    this.#pause = new Timer(around.clock);
  }

  /** Dial at once, with the back-off at its beginning; a connection that is there gives way. */
  dial() {
    this.attempts = 0;
    this.#redial("resync");
  }

  /** Have everything after the cursor brought again, over a new connection. */
  resync() {
    if (this.connection) this.#redial("resync");
  }

  /** Look whether the connection lives, or do not wait any longer for the next try. */
  nudge() {
    if (this.state === "reconnecting") this.dial();
    else this.connection?.check();
  }

  /** Try now if the wait is over: pages in the background may have their timers held back. */
  remind() {
    if (this.state === "reconnecting" && this.#around.clock.now() >= this.#due) void this.#dial();
  }

  /** @param {{type: string, payload: object, meta: object}} envelope */
  send(envelope) {
    this.connection?.send(envelope);
  }

  /** Say goodbye and stay away. */
  async leave() {
    const { connection } = this;
    this.#stop("disconnected", {});
    await connection?.leave();
  }

  /**
   * Stay away without a goodbye, as somebody else of this device goes on.
   *
   * @param {string} reason
   */
  yield(reason) {
    const { connection } = this;
    this.#stop("disconnected", {});
    connection?.drop(RESYNC, reason);
  }

  /**
   * Stop for a fault that no reconnecting mends.
   *
   * @param {Error} error
   */
  fail(error) {
    const { connection } = this;
    this.#stop("closed", { error });
    connection?.drop(RESYNC, "");
  }

  /** @param {string} why */
  #redial(why) {
    const { connection } = this;
    this.#dialled += 1; // so that its end is not taken for a loss
    this.connection = null;
    connection?.drop(RESYNC, why);
    if (connection) this.#around.onLost(RESYNC, why);
    void this.#dial();
  }

  async #dial() {
    this.#pause.stop();
    const turn = ++this.#dialled;
    this.#become("connecting", {});
    /** @type {unknown} */
    let token;
    try {
      token = await within(this.#around.clock, TOKEN_SECONDS, this.#around.token(this.#reason));
      check({ authToken: token });
    } catch (cause) {
      const message = `no token: ${/** @type {any} */ (cause)?.message ?? cause}`;
      if (turn === this.#dialled) this.#wait(new RelayError("no_token", message, { retry: true, cause }));
      return;
    }
    if (turn !== this.#dialled) return;
    try {
      this.#open(token, turn);
    } catch (fault) {
      this.#ended(LOST, String(fault));
    }
  }

  /**
   * @param {unknown} token
   * @param {number} turn
   */
  #open(token, turn) {
    const { address, WebSocket, clock, hello, cursor } = this.#around;
    this.#liveSince = null;
    this.connection = new Connection({
      address, WebSocket, clock, cursor,
      hello: () => hello(token),
      onFrame: (frame) => turn === this.#dialled && this.#take(frame),
      onEnd: (code, reason) => turn === this.#dialled && this.#ended(code, reason),
    });
  }

  /** @param {Envelope<any>} frame */
  #take(frame) {
    const { event } = frame.payload;
    const turn = this.#dialled;
    this.#around.onFrame(frame);
    if (frame.type !== "connection_event" || turn !== this.#dialled) return;
    if (event === "ready") this.#become("replaying", {});
    if (event === "synced") {
      this.#reason = "reconnect";
      this.#liveSince ??= this.#around.clock.now();
      this.#become("connected", {});
    }
  }

  /**
   * @param {number} code
   * @param {string} reason
   */
  #ended(code, reason) {
    const greeted = this.connection?.greeted;
    this.connection = null;
    this.#around.onLost(code, reason);
    if (code === TOKEN_REFUSED && this.#reason !== "refused" && this.#around.renewable()) {
      this.#reason = "refused";
      void this.#dial();
    } else if (isFinal(code)) {
      this.#stop("closed", { error: new ConnectionClosed(code, reason) });
    } else {
      // The answer is for the next try to tell: browsers say nothing, and other platforms little.
      if (greeted) this.#why = "";
      else void this.#around.why().then((why) => (this.#why = why), () => {});
      const known = [reason, this.#why].filter(Boolean).join("; ");
      this.#wait(new ConnectionClosed(code, known), retryAfter(code, reason));
    }
  }

  /**
   * @param {ConnectionClosed | RelayError} error
   * @param {number} [asked] seconds that the server asks for
   */
  #wait(error, asked) {
    const { backoff, clock } = this.#around;
    if (this.#liveSince !== null && clock.now() - this.#liveSince >= backoff.settle * 1000) this.attempts = 0;
    const retryIn = asked ?? backoff.delay(this.attempts);
    this.attempts += 1;
    this.#due = clock.now() + retryIn * 1000;
    this.#pause.set(retryIn, () => void this.#dial());
    this.#become("reconnecting", { error, retryIn });
  }

  /**
   * @param {ConnectionState} state
   * @param {{error?: Error}} detail
   */
  #stop(state, detail) {
    this.#dialled += 1;
    this.#pause.stop();
    this.#reason = "first";
    this.connection = null;
    this.#become(state, detail);
  }

  /**
   * @param {ConnectionState} state
   * @param {{error?: Error, retryIn?: number}} detail
   */
  #become(state, detail) {
    if (state === this.state && state !== "reconnecting") return;
    this.state = state;
    this.#around.onState(state, detail);
  }
}

/**
 * Wait for a promise, so long and no longer.
 *
 * @template Value
 * @param {Clock} clock
 * @param {number} seconds
 * @param {Value | Promise<Value>} value
 */
async function within(clock, seconds, value) {
  const deadline = new Timer(clock);
  try {
    return await Promise.race([
      value,
      new Promise((_, reject) => deadline.set(seconds, () => reject(new Error(`none within ${seconds} s`)))),
    ]);
  } finally {
    deadline.stop();
  }
}
