/**
 * A minimal server that keeps the contract: it stores each id once, numbers what it stores, and replays what comes after a
 * cursor. The client is `alice`; other users send through `write`.
 */

const PRIORITY = { notification: 10, chat_message: 20, group_message: 30 };

export class FakeRelay {
  log = [];
  epoch = "epoch-1";
  heartbeatSeconds = 25;
  limits = { frame_bytes: 65536, in_flight: 256, replay: 1000 };
  /** The live connections by token and client id. */
  connections = new Map();
  hellos = [];
  acks = [];
  /** Returns an error's payload to refuse a message. */
  refuse = () => null;
  /** Whether acks are sent. */
  answers = true;
  tokens = new Set(["token"]);

  constructor(network, user = "alice") {
    this.user = user;
    network.onSocket = (socket) => {
      socket.onFrame = (frame) => this.#take(socket, frame);
      socket.onClosed = () => this.#gone(socket);
      queueMicrotask(() => socket.readyState === 0 && socket.accept());
    };
  }

  /** Another user writes to alice, or alice does so on another device. */
  write(content, { sender = "bob", target = this.user, type = "chat_message" } = {}) {
    return this.#store({ type, payload: { content }, meta: { target_id: target } }, sender, null);
  }

  /** Another user edits or deletes a message. */
  change(payload, type, { sender = "bob", target = this.user } = {}) {
    return this.#store({ type, payload, meta: { target_id: target } }, sender, null);
  }

  /** Answer the history over HTTP: `GET /api/messages/user/…` with `after` and `limit`. */
  fetch = async (address) => {
    const url = new URL(address);
    const [after, limit] = ["after", "limit"].map((name) => Number(url.searchParams.get(name)));
    const key = [this.user, url.pathname.split("/").at(-1)].sort().join();
    const found = this.log.filter((stored) => stored.key === key && stored.meta.seq > after).slice(0, limit);
    const messages = found.map(({ type, payload, meta }) => ({ type, payload, meta }));
    return Response.json({ messages, latest: [], has_more: false, next_before: null, next_after: null });
  };

  /** Return what alice wrote to a target, in the order of the log. */
  written(target) {
    const own = this.log.filter(({ meta }) => meta.sender_id === this.user && meta.target_id === target);
    return own.map(({ payload }) => payload.content);
  }

  get socket() {
    return [...this.connections.values()].at(-1);
  }

  cut(code = 1006, reason = "") {
    for (const socket of [...this.connections.values()]) {
      this.#gone(socket);
      socket.end(code, reason);
    }
  }

  #gone(socket) {
    for (const [id, known] of this.connections) if (known === socket) this.connections.delete(id);
  }

  #take(socket, frame) {
    const { event } = frame.payload;
    if (frame.type !== "connection_event") return this.#message(socket, frame);
    if (event === "hello") this.#hello(socket, frame);
    if (event === "ack") this.acks.push(frame.payload.cursor);
    if (event === "goodbye") queueMicrotask(() => socket.end(1000));
    if (frame.meta?.id) socket.say("ack", { timestamp: 1, duplicate: false }, { ref: frame.meta.id });
  }

  #hello(socket, { payload, meta }) {
    this.hellos.push({ ...payload, client_id: meta.client_id });
    if (!this.tokens.has(payload.token)) return queueMicrotask(() => socket.end(4501, "token missing or wrong"));
    const device = `${payload.token} ${meta.client_id}`;
    const older = this.connections.get(device);
    this.connections.delete(device);
    if (older) queueMicrotask(() => older.end(4510, "replaced"));
    this.connections.set(device, socket);
    const newest = this.log.length;
    const resumed = payload.cursor !== undefined && (payload.epoch ?? this.epoch) === this.epoch && payload.cursor <= newest;
    const cursor = resumed ? payload.cursor : 0;
    const { user, epoch, limits } = this;
    socket.event("ready", {
      user_id: user, session_id: "ses_1", client_id: meta.client_id, resumed, cursor, epoch, limits, heartbeat_seconds: this.heartbeatSeconds,
    });
    const missed = this.log.filter((stored) => stored.meta.message_id > cursor);
    missed.sort((one, other) => (PRIORITY[one.type] ?? 40) - (PRIORITY[other.type] ?? 40));
    for (const { type, payload, meta } of missed) socket.say(type, payload, { ...meta, replay: true });
    socket.event("synced", { cursor: newest, replayed: missed.length, limited: false, gaps: [] });
  }

  #message(socket, frame) {
    const error = this.refuse(frame);
    if (error) return void queueMicrotask(() => socket.say("error", error, { ref: frame.meta.id }));
    const known = this.log.find(({ meta }) => meta.id === frame.meta.id && meta.sender_id === this.user);
    const stored = known ?? this.#store(frame, this.user, socket);
    const { message_id, seq, timestamp } = stored.meta;
    const ack = { message_id, seq, timestamp, duplicate: known !== undefined };
    if (this.answers) queueMicrotask(() => socket.say("ack", ack, { ref: frame.meta.id }));
  }

  #store({ type, payload, meta }, sender, from) {
    const key = [sender, meta.target_id].sort().join();
    const seq = this.log.filter((stored) => stored.key === key).length + 1;
    const message_id = this.log.length + 1;
    const stored = { key, type, payload, meta: { ...meta, message_id, seq, sender_id: sender, timestamp: message_id } };
    this.log.push(stored);
    for (const socket of this.connections.values()) if (socket !== from) socket.say(type, payload, stored.meta);
    return stored;
  }
}
