/**
 * One WebSocket connection: opening, hello, ready, and the end, which is told once. An exception of a library, or nonsense
 * from a hostile peer, ends this connection and nothing else.
 */

import { Timer, within } from "./clock.js";
import { CLOSE_LOST, CLOSE_RESYNC } from "./close-codes.js";
import { Heartbeat } from "./heartbeat.js";
import { CLOSE_NORMAL } from "./protocol.js";

/** @import { Clock } from "./clock.js" */
/** @import { Envelope } from "./types.js" */

const OPEN_SECONDS = 10;
const READY_SECONDS = 15;
const CLOSE_SECONDS = 2;

/**
 * @typedef {object} ConnectionOptions
 * @property {string} address
 * @property {any} WebSocket
 * @property {Clock} clock
 * @property {() => Record<string, unknown>} hello the payload, made when the connection is open
 * @property {() => number | null} cursor
 * @property {(frame: Envelope<any>) => void} onFrame
 * @property {(code: number, reason: string) => void} onEnd
 */

export class Connection {
  #options;
  #deadline;
  /** @type {Heartbeat | null} */
  #heartbeat = null;
  #over = false;
  #probes = 0;
  #why = "";
  /** Whether the WebSocket was open once. */
  greeted = false;

  /** @param {ConnectionOptions} options */
  constructor(options) {
    this.#options = options;
    this.#deadline = new Timer(options.clock);
    this.#deadline.set(OPEN_SECONDS, () => this.drop(CLOSE_LOST, `no connection within ${OPEN_SECONDS} s`));
    /** @type {WebSocket} */
    const socket = (this.socket = new options.WebSocket(options.address, ["relay.v1"]));
    socket.onopen = () => this.#greet();
    socket.onmessage = (message) => this.#receive(message.data);
    socket.onerror = (error) => (this.#why = /** @type {any} */ (error).message ?? ""); // a browser's says nothing
    socket.onclose = (close) => this.#finish(close.code || CLOSE_LOST, close.reason || this.#why);
  }

  /**
   * Send a `connection_event`.
   *
   * @param {Record<string, unknown>} payload
   * @param {Record<string, unknown>} [meta]
   */
  tell(payload, meta = {}) {
    this.send({ type: "connection_event", payload, meta });
  }

  /** @param {{type: string, payload: object, meta: object}} envelope */
  send(envelope) {
    if (this.#over || this.socket.readyState !== 1) return;
    this.socket.send(JSON.stringify(envelope));
  }

  /** Probe the connection, and drop it unless an answer comes in time. @param {number} [seconds] five by default */
  check(seconds) {
    this.#heartbeat?.check(seconds);
  }

  /** Send a goodbye, and wait until the server has closed the connection, two seconds at most. */
  async leave() {
    if (this.socket.readyState !== 1) return this.#end(CLOSE_NORMAL, "");
    this.tell({ event: "goodbye" });
    const closed = new Promise((resolve) => (this.socket.onclose = resolve));
    this.#end(CLOSE_NORMAL, "");
    await within(this.#options.clock, CLOSE_SECONDS, closed, () => this.#abandon());
  }

  /**
   * End without a goodbye; frames that still arrive are ignored.
   *
   * @param {number} code
   * @param {string} reason
   */
  drop(code, reason) {
    if (this.#over) return;
    this.socket.onclose = null;
    this.#end(code >= 4000 ? code : CLOSE_RESYNC, reason);
    if (code === CLOSE_LOST) this.#abandon();
    this.#options.onEnd(code, reason);
  }

  /**
   * @param {number} code
   * @param {string} reason
   */
  #end(code, reason) {
    this.#silence();
    try {
      this.socket.close(code, reason);
    } catch {
      this.#abandon(); // a library that cannot close what was never open
    }
  }

  /** Cut the connection, where the library can; a browser has its own deadline. */
  #abandon() {
    /** @type {any} */ (this.socket).terminate?.();
  }

  /**
   * @param {number} code
   * @param {string} reason
   */
  #finish(code, reason) {
    if (this.#over) return;
    this.#silence();
    this.#options.onEnd(code, reason);
  }

  #silence() {
    this.#over = true;
    this.#deadline.stop();
    this.#heartbeat?.stop();
    this.socket.onopen = this.socket.onmessage = null;
  }

  #greet() {
    this.greeted = true;
    this.#deadline.set(READY_SECONDS, () => this.drop(CLOSE_LOST, `no answer to the hello within ${READY_SECONDS} s`));
    const { client_id, ...payload } = this.#options.hello();
    this.tell({ event: "hello", ...payload }, { client_id });
  }

  /** @param {unknown} data */
  #receive(data) {
    const frame = decode(data);
    this.#heartbeat?.heard();
    if (frame?.payload.event === "ready" && !this.#heartbeat) this.#begin(frame.payload.heartbeat_seconds);
    if (frame) this.#options.onFrame(frame);
  }

  /** @param {unknown} seconds */
  #begin(seconds) {
    this.#deadline.stop();
    const ask = () => {
      this.#probes += 1;
      this.tell({ event: "heartbeat", cursor: this.#options.cursor() ?? undefined }, { id: `probe-${this.#probes}` });
    };
    this.#heartbeat = new Heartbeat(this.#options.clock, Number(seconds) || 0, ask, (reason) => this.drop(CLOSE_LOST, reason));
  }
}

/**
 * Return the envelope of a frame, or null for a frame that has none.
 *
 * @param {unknown} data
 * @returns {Envelope<any> | null}
 */
function decode(data) {
  if (typeof data !== "string") return null;
  try {
    const { type, payload, meta } = JSON.parse(data);
    return typeof type === "string" ? { type, payload: payload ?? {}, meta: meta ?? {} } : null;
  } catch {
    return null;
  }
}
