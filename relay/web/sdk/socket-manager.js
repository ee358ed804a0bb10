import { check } from "./checks.js";
import { Waiting } from "./deferred.js";
import { Emitter, asError } from "./emitter.js";
import { ConnectionClosed } from "./errors.js";
import { Handlers } from "./handlers.js";
import { Lifecycle } from "./lifecycle.js";
import { readOptions } from "./options.js";
import { RestApiClient } from "./rest-api-client.js";

/** @import { Context } from "./handlers.js" */
/** @import { ConnectionState, ConnectionStatus } from "./reconnector.js" */
/** @import { SocketOptions } from "./options.js" */
/** @import { SyncReport } from "./receiver.js" */
/** @import { SentMessage } from "./sent-message.js" */
/** @import { Envelope, PayloadOf, TokenProvider } from "./types.js" */

/** @typedef {import("./gaps.js").Gap} Gap */

/**
 * @typedef {{
 *   state: [state: ConnectionState, previous: ConnectionState, detail: {error?: Error, retryIn?: number}],
 *   message: [envelope: Envelope<any>, context: Context],
 *   error: [error: Error],
 *   sent: [message: SentMessage],
 *   synced: [report: SyncReport],
 *   reset: [],
 *   leader: [leads: boolean],
 * }} SocketEvents
 */

/**
 * One lasting connection to a relay server: it connects, resumes, and keeps what is to be sent until it is answered.
 * In a browser the tabs share it.
 */
export class SocketManager {
  /** @type {ConnectionState} */
  connectionState = "disconnected";
  /** Tries since the last connection that was live for a second. */
  reconnectAttempts = 0;
  /** @type {Error | null} why there is no connection, until there is one again */
  lastError = null;
  #authToken;
  #handlers;
  #signal;
  #lifecycle;
  #core;
  /** @type {Emitter<SocketEvents>} */
  #events = new Emitter();
  /** @type {Waiting<Record<string, any>>} for the connection */
  #waiting = new Waiting();

  /**
   * @param {string} baseUrl `https://host`, with any prefix of a reverse proxy's; empty for the page's own origin
   * @param {string | TokenProvider} authToken a token, or who gives one out, asked anew for every connection
   * @param {SocketOptions} [options]
   * @throws {TypeError} The address is none, or nothing here speaks WebSocket.
   */
  constructor(baseUrl, authToken, options = {}) {
    const onFault = (/** @type {unknown} */ fault) => this.report(fault);
    const settings = readOptions(baseUrl, authToken, options);
    this.baseUrl = baseUrl;
    this.#authToken = authToken;
    this.#handlers = new Handlers(settings.clock, onFault);
    /** REST calls to the same server, with the same token. */
    this.rest = new RestApiClient(baseUrl, authToken, { fetch: options.fetch });
    this.#lifecycle = new Lifecycle(
      {
        rest: this.rest,
        token: (reason) => (typeof this.authToken === "function" ? this.authToken({ reason }) : this.authToken),
        renewable: () => typeof this.authToken === "function",
        hand: (envelope, context) => {
          const work = this.#handlers.call(envelope, context);
          this.#events.emit("message", envelope, context);
          return work;
        },
        onStatus: (status) => this.#setStatus(status),
        onSent: (message) => this.#events.emit("sent", message),
        heard: () => this.#events.has("sent"),
        onSynced: (report) => this.#events.emit("synced", report),
        onReset: () => this.#events.emit("reset"),
        onLeader: (leads) => this.#events.emit("leader", leads),
        onFault,
      },
      settings,
    );
    this.#core = this.#lifecycle.core;
    this.#signal = options.signal;
    options.signal?.addEventListener("abort", () => void this.disconnect(), { once: true });
  }

  // ---- where it stands

  get authToken() {
    return this.#authToken;
  }

  /** The token from the next connection and the next call on. */
  set authToken(token) {
    check({ authToken: token });
    this.#authToken = token;
    this.rest.authToken = token;
  }

  /** The live WebSocket, or null: without a connection, and in the tabs that use another's. */
  get socket() {
    return this.#lifecycle.reconnector?.connection?.socket ?? null;
  }

  /** The device's lasting id: final once `opened` has resolved. */
  get clientId() {
    return this.#core.device.clientId;
  }

  /** The user the token belongs to, or null before the first connection. */
  get userId() {
    return this.#core.device.userId;
  }

  get sessionId() {
    return this.#core.device.sessionId;
  }

  /** The position up to which everything is processed, or null. */
  get cursor() {
    return this.#core.receiver.cursor;
  }

  /** The name of the server's log, as last heard. */
  get epoch() {
    return this.#core.receiver.epoch;
  }

  /** @returns {Record<string, number>} the server's limits, as last heard */
  get limits() {
    return this.#core.ready?.limits ?? {};
  }

  /** The handlers by message type; `*` has those for all. */
  get messageHandlers() {
    return this.#handlers.byType;
  }

  /** What was written and has no answer yet, or was refused. */
  get outbox() {
    return this.#core.outbox;
  }

  /** What is kept under this name: the outbox, the cursor, and what else an application puts there. */
  get storage() {
    return this.#core.storage;
  }

  /** Resolves when the storage is read: from then on the outbox has what earlier pages left. */
  get opened() {
    return this.#core.opened;
  }

  /** Whether this tab has the connection. */
  get isLeader() {
    return this.#lifecycle.leads;
  }

  /** Tell whether this is the one tab to show notifications: the one that is seen, else the one with the connection. */
  isNotifier() {
    return this.#lifecycle.shared?.tabs.notifies ?? true;
  }

  // ---- connecting

  /**
   * Connect, and stay connected; resolves with the server's `ready` once caught up. A server that cannot be reached
   * is tried again and is no failure.
   *
   * @param {{signal?: AbortSignal}} [options] gives up, unless connected by then
   * @returns {Promise<Record<string, any>>}
   * @throws {ConnectionClosed} The server does not want this client back, or it was disconnected.
   */
  async connect({ signal } = {}) {
    check({}, { signal });
    this.#signal?.throwIfAborted();
    signal?.throwIfAborted();
    void this.#lifecycle.start();
    try {
      return await this.ready({ signal });
    } catch (error) {
      if (signal?.aborted) await this.disconnect();
      throw error;
    }
  }

  /** Connect anew at once, whatever the back-off says: after a change of networks, or a sleep. */
  async reconnect() {
    if (!this.#lifecycle.running || this.connectionState === "closed") return this.connect();
    this.#lifecycle.reconnect();
    return this.ready();
  }

  /**
   * Wait until connected and caught up.
   *
   * @param {{signal?: AbortSignal}} [options]
   * @returns {Promise<Record<string, any>>}
   */
  async ready({ signal } = {}) {
    check({}, { signal });
    signal?.throwIfAborted();
    if (this.connectionState === "connected") return this.#core.ready ?? {};
    return this.#waiting.wait(signal);
  }

  /** Say goodbye and stay away, until `connect` is called again; what was not sent stays in the outbox. */
  async disconnect() {
    await this.#lifecycle.stop();
  }

  /** Disconnect, and forget all that is kept under this name, what was not sent included: for who signs out. */
  async forget() {
    this.#lifecycle.ask({ forget: true });
    await this.#lifecycle.forget();
  }

  // ---- messages

  /**
   * Put a message in the outbox, from where it goes out, again and again, until it is answered.
   *
   * @template {string} Type
   * @param {Type} type
   * @param {PayloadOf<Type>} payload
   * @param {string | null} [targetId] a user, a group, or `*`; none for types without a target
   * @param {{id?: string, keep?: boolean, signal?: AbortSignal}} [options] the id that makes a retry safe; whether
   *   it is worth sending later; what takes it back while it waits
   * @returns {SentMessage}
   */
  sendMessage(type, payload, targetId, options = {}) {
    check({ type, payload, options }, { targetId, ...options });
    return this.#core.outbox.send(type, /** @type {object} */ (payload), targetId, options);
  }

  /**
   * Have a handler called with each message of a type (`*`: of any), until the function that is returned is called.
   * One that returns a promise holds the cursor back until then, so that what it did not finish comes again after a
   * restart.
   *
   * @template {string} Type
   * @param {Type} type
   * @param {(envelope: Envelope<Type>, context: Context) => unknown} handler
   */
  registerHandler(type, handler) {
    check({ type, handler });
    return this.#handlers.add(type, handler);
  }

  /**
   * @template {keyof SocketEvents} Name
   * @param {Name} name
   * @param {(...values: SocketEvents[Name]) => void} listener
   */
  on(name, listener) {
    check({ event: name, listener });
    return this.#events.on(name, listener);
  }

  /** @param {(envelope: Envelope<any>, context: Context) => void} callback */
  onMessage(callback) {
    return this.on("message", callback);
  }

  /** @param {(...change: SocketEvents["state"]) => void} callback */
  onConnectionStateChange(callback) {
    return this.on("state", callback);
  }

  /** @param {(error: Error) => void} callback */
  onError(callback) {
    return this.on("error", callback);
  }

  /** Tell those who listen with `onError`, or else the console: for what is built on this. @param {unknown} fault */
  report(fault) {
    this.#events.emit("error", asError(fault));
  }

  // ---- inside

  /** @param {ConnectionStatus} status */
  #setStatus({ state, attempts, error, retryIn }) {
    const previous = this.connectionState;
    this.connectionState = state;
    this.reconnectAttempts = attempts;
    if (error) this.lastError = error;
    if (state === "connected") this.lastError = null;
    if (state !== previous || error) this.#events.emit("state", state, previous, { error, retryIn });
    if (state === "connected") this.#waiting.resolve(this.#core.ready ?? {});
    if (state === "closed") this.#waiting.reject(error);
    if (state === "disconnected") this.#waiting.reject(new ConnectionClosed(1000, "this client said goodbye"));
  }
}
