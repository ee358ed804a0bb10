/** Fake WebSockets: the test is the server's end. */

/** The network: the client gets its `WebSocket`; `sockets` has all that were opened, the newest last. */
export class FakeNetwork {
  sockets = [];
  /** Called with a new socket; by default it waits for `accept` or `fail`. */
  onSocket = () => {};

  constructor() {
    const network = this;
    this.WebSocket = class extends FakeSocket {
      constructor(url, protocols) {
        super(url, protocols);
        network.sockets.push(this);
        network.onSocket(this);
      }
    };
  }

  get last() {
    return this.sockets.at(-1);
  }
}

export class FakeSocket {
  readyState = 0;
  onopen = null;
  onmessage = null;
  onclose = null;
  onerror = null;
  /** The frames that the client has sent. */
  sent = [];
  /** How the client closed it, if it did. */
  closed = null;
  /** Called with a frame of the client's. */
  onFrame = () => {};
  onClosed = () => {};

  constructor(url, protocols) {
    this.url = url;
    this.protocols = protocols;
  }

  // ---- the client's side

  send(text) {
    if (this.readyState !== 1) throw new Error("send on a socket that is not open");
    const frame = JSON.parse(text);
    this.sent.push(frame);
    this.onFrame(frame);
  }

  close(code = 1005, reason = "") {
    if (this.readyState >= 2) return;
    if (code !== 1000 && (code < 3000 || code > 4999)) throw new Error(`no page may close with ${code}`);
    this.readyState = 2;
    this.closed = { code, reason };
    this.onClosed(this.closed);
  }

  // ---- the server's side

  accept() {
    this.readyState = 1;
    this.onopen?.({});
  }

  say(type, payload = {}, meta = {}) {
    this.deliver(JSON.stringify({ type, payload, meta }));
  }

  event(event, payload = {}) {
    this.say("connection_event", { event, ...payload });
  }

  deliver(data) {
    if (this.readyState === 1) this.onmessage?.({ data });
  }

  /** End the connection: with the server's close frame, or without one as a network does. */
  end(code = 1006, reason = "") {
    if (this.readyState === 3) return;
    this.readyState = 3;
    this.onerror?.({});
    this.onclose?.({ code, reason });
  }

  /** The frames of a type, or of a connection event's name. */
  all(name) {
    return this.sent.filter((frame) => frame.type === name || frame.payload.event === name);
  }
}
