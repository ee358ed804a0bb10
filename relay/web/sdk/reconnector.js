/** Keeps a client connected: dials, and decides after each loss whether and when to dial again. */

import { check } from "./checks.js";
import { Timer, within } from "./clock.js";
import { CLOSE_LOST, CLOSE_RESYNC, isFinal, retryAfter } from "./close-codes.js";
import { Connection } from "./connection.js";
import { ConnectionClosed, RelayError } from "./errors.js";
import { CLOSE_BAD_TOKEN, CLOSE_DRAINING } from "./protocol.js";

/** @import { Backoff } from "./backoff.js" */
/** @import { Clock } from "./clock.js" */
/** @import { Envelope } from "./types.js" */

/** @typedef {"disconnected" | "connecting" | "replaying" | "connected" | "reconnecting" | "closed"} ConnectionState */
/** @typedef {{state: ConnectionState, attempts: number, error?: Error, retryIn?: number}} ConnectionStatus retryIn: seconds */
/** @typedef {"first" | "reconnect" | "refused"} Reason why a token is asked for */

/**
 * @typedef {object} ReconnectorOptions
 * @property {string} address
 * @property {any} WebSocket
 * @property {() => Promise<string>} diagnose finds out what is wrong with the address
 * @property {Clock} clock
 * @property {Backoff} backoff
 * @property {(reason: Reason) => unknown} token the token, or a promise of one
 * @property {() => boolean} renewable whether a refused token may be asked for again
 * @property {(token: unknown) => Record<string, unknown>} hello
 * @property {() => number | null} cursor
 * @property {(frame: Envelope<any>) => void} onFrame
 * @property {(code: number, reason: string) => void} onLost
 * @property {(status: ConnectionStatus) => void} onStatus
 */

const TOKEN_SECONDS = 30;
/** How long a server that stopped is expected back soon, so that waits are short. */
const RESTART_SECONDS = 60;
/** The longest wait meanwhile; twice what the server asked for where that is more, as it spreads many clients. */
const RESTART_WAIT_SECONDS = 3;

export class Reconnector {
  #attempts = 0;
  /** @type {Connection | null} */
  #connection = null;
  /** @type {ConnectionState} */
  #state = "disconnected";
  #options;
  #pause;
  /** @type {number | null} */
  #liveSince = null;
  /** @type {Reason} */
  #reason = "first";
  /** The number of the last dial or stop: what an earlier connection still says does not count. */
  #turn = 0;
  #due = 0;
  /** Until when a server that stopped is expected back soon, on the clock, and the longest wait until then. */
  #restart = [0, 0];
  /** What is wrong with the address, as far as it was found out. */
  #why = "";

  /** @param {ReconnectorOptions} options */
  constructor(options) {
    this.#options = options;
    this.#pause = new Timer(options.clock);
  }

  get connection() {
    return this.#connection;
  }

  /** Dial at once, with the back-off at its beginning; a connection that is there gives way. */
  dial() {
    this.#attempts = 0;
    this.#redial();
  }

  /** Connect anew, to have everything after the cursor replayed. */
  resync() {
    if (this.#connection) this.#redial();
  }

  /** Check whether the connection lives, or end the wait for the next try. */
  nudge() {
    if (this.#state === "reconnecting") this.dial();
    else this.#connection?.check();
  }

  /** Try now if the wait is over: browsers may hold the timers of hidden pages back. */
  remind() {
    if (this.#state === "reconnecting" && this.#options.clock.now() >= this.#due) void this.#dial();
  }

  /** @param {{type: string, payload: object, meta: object}} envelope */
  send(envelope) {
    this.#connection?.send(envelope);
  }

  /** Say goodbye and stay away. */
  async leave() {
    await this.#stop("disconnected")?.leave();
  }

  /**
   * Stay away without a goodbye, as another tab of this device goes on.
   *
   * @param {string} reason
   */
  yield(reason) {
    this.#stop("disconnected")?.drop(CLOSE_RESYNC, reason);
  }

  /**
   * Stop for an error that no reconnecting mends.
   *
   * @param {Error} error
   */
  fail(error) {
    this.#stop("closed", { error })?.drop(CLOSE_RESYNC, "");
  }

  #redial() {
    const connection = this.#release();
    connection?.drop(CLOSE_RESYNC, "resync");
    if (connection) this.#options.onLost(CLOSE_RESYNC, "resync");
    void this.#dial();
  }

  async #dial() {
    this.#pause.stop();
    const turn = ++this.#turn;
    this.#become("connecting");
    /** @type {unknown} */
    let token;
    try {
      token = await within(this.#options.clock, TOKEN_SECONDS, this.#options.token(this.#reason), () => {
        throw new Error(`none within ${TOKEN_SECONDS} s`);
      });
      check({ authToken: token });
    } catch (cause) {
      const message = `no token: ${/** @type {any} */ (cause)?.message ?? cause}`;
      if (turn === this.#turn) this.#wait(new RelayError("no_token", message, { retry: true, cause }));
      return;
    }
    if (turn !== this.#turn) return;
    try {
      this.#open(token, turn);
    } catch (fault) {
      this.#ended(CLOSE_LOST, String(fault));
    }
  }

  /**
   * @param {unknown} token
   * @param {number} turn
   */
  #open(token, turn) {
    const { address, WebSocket, clock, hello, cursor } = this.#options;
    this.#liveSince = null;
    this.#connection = new Connection({
      address, WebSocket, clock, cursor,
      hello: () => hello(token),
      onFrame: (frame) => turn === this.#turn && this.#take(frame),
      onEnd: (code, reason) => turn === this.#turn && this.#ended(code, reason),
    });
  }

  /** @param {Envelope<any>} frame */
  #take(frame) {
    const { event } = frame.payload;
    const turn = this.#turn;
    this.#options.onFrame(frame);
    if (frame.type !== "connection_event" || turn !== this.#turn) return;
    if (event === "ready") this.#become("replaying");
    if (event === "synced") {
      this.#reason = "reconnect";
      this.#liveSince ??= this.#options.clock.now();
      this.#become("connected");
    }
  }

  /**
   * @param {number} code
   * @param {string} reason
   */
  #ended(code, reason) {
    const greeted = this.#connection?.greeted;
    this.#connection = null;
    this.#options.onLost(code, reason);
    if (code === CLOSE_BAD_TOKEN && this.#reason !== "refused" && this.#options.renewable()) {
      this.#reason = "refused";
      void this.#dial();
    } else if (isFinal(code)) {
      this.#stop("closed", { error: new ConnectionClosed(code, reason) });
    } else {
      // Browsers do not say why a connection failed, so the server is asked over HTTP. The answer comes too late for this
      // error: the next one tells it.
      if (greeted) this.#why = "";
      else void this.#options.diagnose().then((why) => (this.#why = why), () => {});
      const known = [reason, this.#why].filter(Boolean).join("; ");
      this.#wait(new ConnectionClosed(code, known), retryAfter(code, reason));
    }
  }

  /**
   * @param {ConnectionClosed | RelayError} error
   * @param {number} [asked] the seconds that the server asks to wait
   */
  #wait(error, asked) {
    const { backoff, clock } = this.#options;
    const now = clock.now();
    if (this.#liveSince !== null && now - this.#liveSince >= backoff.settle * 1000) this.#attempts = 0;
    if (error.code === CLOSE_DRAINING) this.#restart = [now + RESTART_SECONDS * 1000, Math.max(RESTART_WAIT_SECONDS, 2 * (asked ?? 0))];
    const [until, most] = this.#restart;
    const retryIn = asked ?? backoff.delay(this.#attempts, now < until ? most : Infinity);
    this.#attempts += 1;
    this.#due = now + retryIn * 1000;
    this.#pause.set(retryIn, () => void this.#dial());
    this.#become("reconnecting", { error, retryIn });
  }

  /**
   * @param {ConnectionState} state
   * @param {{error?: Error}} [detail]
   */
  #stop(state, detail) {
    const connection = this.#release();
    this.#pause.stop();
    this.#reason = "first";
    this.#become(state, detail);
    return connection;
  }

  /** Return the connection, which no longer counts: its end is no loss. */
  #release() {
    const { connection } = this;
    this.#turn += 1;
    this.#connection = null;
    return connection;
  }

  /**
   * @param {ConnectionState} state
   * @param {{error?: Error, retryIn?: number}} [detail]
   */
  #become(state, detail) {
    if (state === this.#state && state !== "reconnecting") return;
    this.#state = state;
    this.#options.onStatus({ state, attempts: this.#attempts, ...detail });
  }
}
