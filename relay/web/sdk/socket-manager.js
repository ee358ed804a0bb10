import { socketAddress } from "./address.js";
import { Emitter } from "./emitter.js";
import { ConnectionClosed, RelayError } from "./errors.js";
import { generateUniqueId } from "./ids.js";
import { RestApiClient } from "./rest-api-client.js";
import { SentMessage } from "./sent-message.js";

/** @import { Envelope, PayloadOf, TokenProvider } from "./types.js" */
/** @import { Storage } from "./storage/memory.js" */

/** @typedef {"disconnected" | "connecting" | "replaying" | "connected" | "reconnecting" | "closed"} ConnectionState */
/** @typedef {{kind: string, target_id: string, from_seq: number, to_seq: number}} Gap */
/** @typedef {(envelope: Envelope<any>, context: {replay: boolean}) => void | Promise<void>} Handler */

/**
 * @typedef {object} SocketOptions
 * @property {string} [clientId] the device's own lasting id; by default one is made and kept in the storage
 * @property {"auto" | Storage} [storage] "auto" is IndexedDB where there is one, else memory
 * @property {string} [name] what the storage and the tabs go by: one for each account that is used side by side
 * @property {any} [WebSocket] a class like the browser's; needed in Node before 22
 * @property {typeof fetch} [fetch]
 * @property {boolean} [tabs] whether the tabs of a browser share one connection; by default where they can
 * @property {AbortSignal} [signal] disconnects when it is aborted
 * @property {{base?: number, cap?: number}} [backoff] seconds between tries: 0.5 at first, 30 at most
 * @property {number} [ackSeconds] at most one ack in so many seconds; 1
 * @property {number} [outboxLimit] messages that may wait for their answer; 10,000
 * @property {number} [fillLimit] the largest gap of a conversation that is filled without being asked; 200
 * @property {"inactive" | "none"} [background] whether a page that nobody sees makes the device inactive
 * @property {() => number} [random] from 0 to 1
 * @property {{now: () => number, setTimeout: typeof setTimeout, clearTimeout: typeof clearTimeout}} [clock] `now` in ms
 */

/**
 * @typedef {{
 *   state: [state: ConnectionState, previous: ConnectionState, detail: {error?: Error, retryIn?: number}],
 *   message: [envelope: Envelope<any>, context: {replay: boolean}],
 *   error: [error: Error],
 *   sent: [message: SentMessage],
 *   synced: [report: {gaps: Gap[], replayed: number, limited: boolean, filled: Gap[]}],
 *   reset: [],
 *   leader: [leads: boolean],
 * }} SocketEvents
 */

/** One lasting connection to a relay server. */
export class SocketManager {
  /** @type {WebSocket | null} */
  socket = null;
  /** @type {Map<string, Set<Handler>>} */
  messageHandlers = new Map();
  /** @type {ConnectionState} */
  connectionState = "disconnected";
  reconnectAttempts = 0;
  /** @type {string | null} */
  userId = null;
  /** @type {string | null} */
  sessionId = null;
  /** @type {number | null} */
  cursor = null;
  /** @type {string | null} */
  epoch = null;
  /** @type {Record<string, number>} */
  limits = {};
  /** @type {Error | null} */
  lastError = null;
  isLeader = true;
  #events = new Emitter((fault) => this.#fault(fault));
  /** @type {Map<string, SentMessage>} */
  #sent = new Map();
  #options;

  /**
   * @param {string} baseUrl
   * @param {string | TokenProvider} authToken
   * @param {SocketOptions} [options]
   */
  constructor(baseUrl, authToken, options = {}) {
    this.baseUrl = baseUrl;
    this.authToken = authToken;
    this.#options = options;
    this.clientId = options.clientId ?? generateUniqueId();
    this.rest = new RestApiClient(baseUrl, authToken, { fetch: options.fetch });
    const sent = this.#sent;
    this.outbox = {
      /** Every message that waits for its answer or failed, oldest first. */
      get messages() {
        return [...sent.values()];
      },
      /** @param {string} id */
      get: (id) => sent.get(id),
      /** @param {string} id */
      retry: async (id) => void sent.get(id),
      /** @param {string} id */
      discard: async (id) => void sent.delete(id),
      flush: async () => {},
    };
  }

  /** @param {{signal?: AbortSignal}} [_options] */
  async connect(_options = {}) {
    const Socket = this.#options.WebSocket ?? globalThis.WebSocket;
    const token = typeof this.authToken === "function" ? await this.authToken({ reason: "first" }) : this.authToken;
    this.#become("connecting");
    const socket = (this.socket = new Socket(socketAddress(this.baseUrl), ["relay.v1"]));
    socket.onopen = () => this.#tell("connection_event", { event: "hello", token }, { client_id: this.clientId });
    return new Promise((resolve, reject) => {
      /** @type {any} */
      let ready = null;
      socket.onmessage = (/** @type {MessageEvent} */ message) => {
        const frame = JSON.parse(message.data);
        if (frame.payload.event === "ready") ready = frame.payload;
        if (frame.payload.event === "ready") this.userId = ready.user_id;
        this.#take(frame);
        if (frame.payload.event === "synced") resolve(ready);
      };
      socket.onclose = (/** @type {CloseEvent} */ close) => {
        this.#become("disconnected");
        reject(new ConnectionClosed(close.code, close.reason));
      };
    });
  }

  /** @param {{signal?: AbortSignal}} [options] */
  ready(options) {
    return this.connect(options);
  }

  reconnect() {
    return this.connect();
  }

  async disconnect() {
    this.socket?.close(1000);
  }

  async forget() {}

  /**
   * @template {string} Type
   * @param {Type} type
   * @param {PayloadOf<Type>} payload
   * @param {string | null} [targetId]
   * @param {{id?: string, keep?: boolean, signal?: AbortSignal}} [options]
   */
  sendMessage(type, payload, targetId, options = {}) {
    const id = options.id ?? generateUniqueId();
    const meta = { id, timestamp: Date.now() / 1000, ...(targetId ? { target_id: targetId } : {}) };
    const message = new SentMessage(/** @type {any} */ ({ type, payload, meta }), async () => false);
    this.#sent.set(id, message);
    this.#events.emit("sent", message);
    this.#tell(type, payload, meta);
    return message;
  }

  /**
   * @param {string} type
   * @param {Handler} handler
   */
  registerHandler(type, handler) {
    const handlers = this.messageHandlers.get(type) ?? new Set();
    this.messageHandlers.set(type, handlers.add(handler));
    return () => void handlers.delete(handler);
  }

  /**
   * @template {keyof SocketEvents} Name
   * @param {Name} name
   * @param {(...values: SocketEvents[Name]) => void} listener
   */
  on(name, listener) {
    return this.#events.on(name, listener);
  }

  /** @param {(envelope: Envelope<any>, context: {replay: boolean}) => void} callback */
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

  isNotifier() {
    return this.isLeader;
  }

  /** @param {any} frame */
  #take(frame) {
    const message = this.#sent.get(frame.meta.ref);
    if (frame.type === "ack" || frame.type === "error") {
      if (!message) return;
      if (frame.type === "ack") message.become("sent", { ack: frame.payload });
      else message.become("failed", { error: RelayError.fromPayload(frame.payload) });
      if (frame.type === "ack") this.#sent.delete(message.id);
      this.#events.emit("sent", message);
      return;
    }
    if (frame.payload.event === "synced") this.#become("connected");
    const context = { replay: frame.meta.replay === true };
    for (const handler of [...(this.messageHandlers.get(frame.type) ?? []), ...(this.messageHandlers.get("*") ?? [])]) {
      handler(frame, context);
    }
    this.#events.emit("message", frame, context);
    if (frame.payload.event === "synced") this.#events.emit("synced", { filled: [], ...frame.payload });
  }

  /**
   * @param {string} type
   * @param {any} payload
   * @param {any} meta
   */
  #tell(type, payload, meta) {
    this.socket?.send(JSON.stringify({ type, payload, meta }));
  }

  /** @param {ConnectionState} state */
  #become(state) {
    const previous = this.connectionState;
    this.connectionState = state;
    this.#events.emit("state", state, previous, {});
  }

  /** @param {unknown} fault */
  #fault(fault) {
    console.error(fault);
  }
}
