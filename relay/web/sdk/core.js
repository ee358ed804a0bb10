/**
 * The state of one SocketManager: the device, the messages in both directions, and what becomes of each frame.
 *
 * Frames come from this page's own connection or, in a browser, from the tab that has one. Both are processed alike, so
 * nothing here knows of connections or tabs: lifecycle.js decides whose connection is used.
 */

import { RelayError } from "./errors.js";
import { generateUniqueId } from "./ids.js";
import { Outbox } from "./outbox.js";
import { Persistence } from "./persistence.js";
import { CLOSE_SESSION_REVOKED, CLOSE_TOO_BIG } from "./protocol.js";
import { Queue } from "./queue.js";
import { Receiver } from "./receiver.js";
import { scopedStorage } from "./storage/scoped.js";

/** @import { Settings } from "./options.js" */
/** @import { Uplink } from "./outbox.js" */
/** @import { Send } from "./queue.js" */
/** @import { ReceiverHost } from "./receiver.js" */
/** @import { ConnectionStatus } from "./reconnector.js" */
/** @import { SentMessage } from "./sent-message.js" */
/** @import { Envelope, ErrorPayload } from "./types.js" */

/** @typedef {{clientId: string, sessionId: string | null, userId: string | null}} Device */

/**
 * @typedef {object} CoreUplink
 * @property {boolean} leads whether this page has the connection
 * @property {(payload: object) => void} tell sends a `connection_event`, if this page has the connection
 * @property {(cursor: number) => void} onReady called when a hello was answered; the replay begins at `cursor`
 * @property {(error: Error) => void} fail stops for an error that no reconnecting mends
 */

/**
 * @typedef {object} CoreHost
 * @property {(status: ConnectionStatus) => void} onStatus
 * @property {(message: SentMessage) => void} onSent
 * @property {() => boolean} heard whether anybody listens to that
 */

export class Core {
  /** @type {Record<string, any> | null} the server's last answer to a hello */
  ready = null;
  /** @type {ConnectionStatus} */
  #status = { state: "disconnected", attempts: 0 };
  /** @type {Device} */
  #device;
  /** The client id that the application chose, if it did. */
  #ownId;
  #uplink;
  #host;

  /**
   * @param {Uplink & CoreUplink} uplink
   * @param {CoreHost & ReceiverHost} host
   * @param {Settings} settings
   */
  constructor(uplink, host, settings) {
    this.#uplink = uplink;
    this.#host = host;
    this.#ownId = settings.clientId;
    this.#device = newDevice(settings.clientId);
    this.storage = scopedStorage(() => settings.storage(host.onFault), settings.prefix);
    this.persistence = new Persistence(this.storage, host.onFault);
    this.queue = new Queue(settings, (entry) => this.outbox.answered(entry));
    /** @type {Outbox} */
    this.outbox = new Outbox(this.queue, this.persistence, uplink, {
      clock: settings.clock,
      limit: settings.limit,
      opened: () => this.opened,
      live: () => isLive(this.#status),
      onChange: host.onSent,
      heard: host.heard,
    });
    this.receiver = new Receiver(host, settings, {
      userId: () => this.#device.userId,
      save: (position) => uplink.leads && void this.persistence.put("position", position),
      acknowledge: (cursor) => uplink.tell({ event: "ack", cursor }),
    });
    this.opened = this.#open();
    this.opened.catch(() => {}); // connect() reports it
  }

  get device() {
    return this.#device;
  }

  get status() {
    return this.#status;
  }

  // ---- the storage

  async #open() {
    const position = await this.storage.get("position");
    await this.refresh();
    // Saved before the first connection: an application that restarts offline must stay the same device.
    if (!(await this.storage.get("device"))) await this.persistence.put("device", this.#device);
    this.receiver.restore(position);
  }

  /** Read again what another tab may have written: the device, and the messages to send. */
  async refresh() {
    await this.persistence.flush(); // or messages that were answered would be found there
    const device = await this.storage.get("device");
    if (device) this.#device = { ...device, clientId: (this.#ownId ? this.#device : device).clientId };
    for (const [, record] of await this.storage.getAll("outbox/")) this.outbox.restore(record, true);
  }

  /** Delete everything that is stored, and become a new device. */
  async forget() {
    await this.opened;
    await this.persistence.flush();
    const stored = await this.storage.getAll("");
    this.outbox.clear();
    await this.storage.apply(stored.map(([key]) => ["delete", key]));
    this.#device = newDevice(this.#ownId && this.#device.clientId);
    this.ready = null;
    this.receiver.forget();
  }

  // ---- the connection

  /** Return the payload of a hello, with the client id that belongs into its `meta`. @returns {Record<string, any>} */
  hello() {
    const { clientId: client_id, sessionId: session_id } = this.#device;
    const { cursor, epoch } = this.receiver;
    return { client_id, session_id: session_id ?? undefined, cursor: cursor ?? undefined, epoch: epoch ?? undefined };
  }

  /** Send what the outbox holds over a connection whose hello was answered. @param {Send} send */
  begin(send) {
    void this.persistence.put("device", this.#device);
    this.queue.begin(send, this.ready?.limits ?? {});
  }

  /**
   * Follow a tab that has the connection, from its snapshot; tells whether messages were missed.
   *
   * @param {any} snapshot
   * @param {boolean} replaying whether a replay is under way
   */
  join({ device, ready, ...position }, replaying) {
    this.#device = device;
    this.ready = ready;
    return this.receiver.join(position, replaying);
  }

  /**
   * Return the error for a token of another user than the storage's, or null.
   *
   * @param {string | null | undefined} userId
   */
  wrongUser(userId) {
    const { userId: own } = this.#device;
    if (!own || !userId || own === userId) return null;
    return new RelayError("wrong_user", `what is kept here is of ${own}, the token of ${userId}; give each account a name of its own`);
  }

  /** @param {ConnectionStatus} status */
  setStatus(status) {
    const before = this.#status.state;
    this.#status = status;
    if (!isLive(status) && before !== status.state) this.#end();
    this.#host.onStatus(status);
  }

  /**
   * The connection is gone.
   *
   * @param {number} code
   * @param {string} reason
   */
  lost(code, reason) {
    if (code === CLOSE_TOO_BIG) this.queue.refuseLargest(reason);
    if (code === CLOSE_SESSION_REVOKED) {
      this.#device.sessionId = null; // or the next process would be refused for it as well
      void this.persistence.put("device", this.#device);
    }
    this.#end();
  }

  #end() {
    this.receiver.end();
    this.queue.end();
  }

  // ---- frames

  /**
   * Process a frame of the server's.
   *
   * @param {Envelope<any>} frame
   * @param {boolean} resumes whether the hello of this connection had a cursor
   */
  take(frame, resumes) {
    const { type, payload, meta } = frame;
    const event = type === "connection_event" ? payload.event : type;
    if (event === "ready") this.#takeReady(frame, resumes);
    else if (event === "synced") this.receiver.synced(frame);
    else if (event === "ack") this.#takeAck(frame);
    else if (event === "error") this.#takeError(payload, meta.ref);
    else if (event === "heartbeat") this.#answerHeartbeat();
    else {
      if (type === "read_receipt") this.outbox.noteReceipt(frame, this.#device.userId);
      this.receiver.take(frame);
    }
  }

  /** @param {Envelope<any>} frame @param {boolean} resumes */
  #takeReady(frame, resumes) {
    const { user_id, session_id, client_id, cursor } = frame.payload;
    const error = this.wrongUser(user_id);
    if (error) return this.#uplink.fail(error);
    this.receiver.begin(frame.payload, resumes);
    this.#device = { clientId: client_id ?? this.#device.clientId, sessionId: session_id, userId: user_id };
    this.ready = frame.payload;
    this.#uplink.onReady(cursor);
    this.receiver.take(frame);
  }

  /** @param {Envelope<any>} frame */
  #takeAck(frame) {
    const id = frame.meta.ref ?? "";
    this.receiver.acked(frame, this.outbox.get(id)?.envelope);
    this.queue.acked(id, frame.payload);
  }

  /** @param {ErrorPayload} payload @param {string | undefined} ref */
  #takeError(payload, ref) {
    const error = RelayError.fromPayload(payload);
    if (ref === undefined) this.#host.onFault(error);
    else if (this.#uplink.leads) this.queue.refused(ref, error);
  }

  #answerHeartbeat() {
    this.#uplink.tell({ event: "heartbeat", cursor: this.receiver.cursor ?? undefined });
  }
}

/** @returns {Device} */
function newDevice(clientId = generateUniqueId()) {
  return { clientId, sessionId: null, userId: null };
}

/** Tell whether there is a connection whose hello was answered. @param {ConnectionStatus} status */
function isLive({ state }) {
  return ["replaying", "connected"].includes(state);
}
