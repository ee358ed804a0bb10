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
 * A lasting connection to a relay server: it reconnects and resumes by itself, and keeps messages until they are
 * answered. In a browser the tabs share one connection.
 */
export class SocketManager {
  /** @type {ConnectionState} */
  connectionState = "disconnected";
  /** The number of tries since the last connection that was live for a second. */
  reconnectAttempts = 0;
  /** @type {Error | null} the reason why there is no connection; null when connected */
  lastError = null;
  #authToken;
  #handlers;
  #signal;
  #lifecycle;
  #core;
  /** @type {Emitter<SocketEvents>} */
  #events = new Emitter();
  /** @type {Waiting<Record<string, any>>} callers that wait for the connection */
  #waiting = new Waiting();

  /**
   * @param {string} baseUrl `https://host`, with a reverse proxy's prefix if there is one; empty for the page's own origin
   * @param {string | TokenProvider} authToken a token, or a function that returns one, called for every connection
   * @param {SocketOptions} [options]
   * @throws {TypeError} The address is wrong, or this platform has no WebSocket.
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

  // ---- state

  get authToken() {
    return this.#authToken;
  }

  /** A new token counts from the next connection and the next call on. */
  set authToken(token) {
    check({ authToken: token });
    this.#authToken = token;
    this.rest.authToken = token;
  }

  /** The live WebSocket; null without a connection, and in a tab that uses another tab's. */
  get socket() {
    return this.#lifecycle.reconnector?.connection?.socket ?? null;
  }

  /** The device's lasting id. It is final once `opened` has resolved. */
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

  /** The name of the server's log, as last told. */
  get epoch() {
    return this.#core.receiver.epoch;
  }

  /** @returns {Record<string, number>} the server's limits, as last told */
  get limits() {
    return this.#core.ready?.limits ?? {};
  }

  /** The handlers by message type; `*` has those for all. */
  get messageHandlers() {
    return this.#handlers.byType;
  }

  /** The messages without an answer, and those that were refused. */
  get outbox() {
    return this.#core.outbox;
  }

  /** The storage of this name: the outbox, the cursor, and whatever the application stores there. */
  get storage() {
    return this.#core.storage;
  }

  /** Resolves once the storage is read: from then on the outbox has the messages of earlier pages. */
  get opened() {
    return this.#core.opened;
  }

  /** Whether this tab has the connection. */
  get isLeader() {
    return this.#lifecycle.leads;
  }

  /** Tell whether this tab is the one to show notifications: the visible tab, else the one with the connection. */
  isNotifier() {
    return this.#lifecycle.shared?.tabs.notifies ?? true;
  }

  // ---- connecting

  /**
   * Connect, and stay connected. Resolves with the server's `ready` after the replay. A server that cannot be reached is
   * no error: it is tried again.
   *
   * @param {{signal?: AbortSignal}} [options] signal: gives up, unless connected by then
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

  /** Connect anew at once, without waiting for the back-off: after a change of networks, or a sleep. */
  async reconnect() {
    if (!this.#lifecycle.running || this.connectionState === "closed") return this.connect();
    this.#lifecycle.reconnect();
    return this.ready();
  }

  /**
   * Wait until connected and the replay is over.
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

  /** Send a goodbye and stay disconnected until `connect` is called. Unsent messages stay in the outbox. */
  async disconnect() {
    await this.#lifecycle.stop();
  }

  /** Disconnect, and delete everything stored under this name, unsent messages included: for signing out. */
  async forget() {
    this.#lifecycle.ask({ forget: true });
    await this.#lifecycle.forget();
  }

  // ---- messages

  /**
   * Put a message into the outbox. From there it is sent, again and again, until it is answered.
   *
   * @template {string} Type
   * @param {Type} type
   * @param {PayloadOf<Type>} payload
   * @param {string | null} [targetId] a user, a group, or `*`; none for types without a target
   * @param {{id?: string, keep?: boolean, signal?: AbortSignal}} [options] id: makes a retry safe; keep: whether
   *   it is worth sending later; signal: cancels it while it waits
   * @returns {SentMessage}
   */
  sendMessage(type, payload, targetId, options = {}) {
    check({ type, payload, options }, { targetId, ...options });
    return this.#core.outbox.send(type, /** @type {object} */ (payload), targetId, options);
  }

  /**
   * Call a handler with each message of a type (`*`: of all types), until the returned function is called. A handler that
   * returns a promise holds the cursor back until it is settled: a message whose handler did not finish comes again
   * after a restart.
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

  /** Report an error to the listeners of `onError`, or else to the console; for code built on this class. @param {unknown} fault */
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
