/**
 * What one SocketManager runs on: who the device is, where it stands, and what becomes of each frame. Frames come from
 * its own connection or, through the tab that has it, from another's; what is done with them is the same.
 */

import { SESSION_REVOKED, TOO_BIG } from "./close-codes.js";
import { RelayError } from "./errors.js";
import { generateUniqueId } from "./ids.js";
import { Keeper } from "./keeper.js";
import { Outbox } from "./outbox.js";
import { Queue } from "./queue.js";
import { Receiving } from "./receiving.js";
import { Roles } from "./roles.js";
import { scopedStorage } from "./storage/scoped.js";

/** @import { ConnectionState } from "./link.js" */
/** @import { Settings } from "./options.js" */
/** @import { Report } from "./receiving.js" */
/** @import { Envelope } from "./types.js" */

/** @typedef {{clientId: string, sessionId: string | null, userId: string | null}} Device */
/** @typedef {{state: ConnectionState, attempts: number, error?: Error, retryIn?: number}} Standing */
/** @typedef {{epoch: string | null, cursor: number | null, taken: number[]}} Position */

/**
 * @typedef {object} Manager what the engine asks of the SocketManager, and tells it
 * @property {(reason: "first" | "reconnect" | "refused") => unknown} token
 * @property {() => boolean} renewable
 * @property {import("./rest-api-client.js").RestApiClient} rest
 * @property {import("./inbox.js").Hand} hand
 * @property {(standing: Standing) => void} onStanding
 * @property {(message: import("./sent-message.js").SentMessage) => void} onSent
 * @property {() => boolean} heard whether anybody listens to that
 * @property {(report: Report) => void} onSynced
 * @property {() => void} onReset
 * @property {(leads: boolean) => void} onLeader
 * @property {(fault: unknown) => void} onFault
 */

export class Engine {
  /** @type {string | null} */
  epoch = null;
  /** @type {Record<string, any> | null} the server's last answer to a hello */
  ready = null;
  /** @type {Standing} */
  standing = { state: "disconnected", attempts: 0 };
  /** Whether nothing has come yet: no position is this page's own. */
  fresh = true;
  /** Whether the last hello, of whichever tab, asked for what comes after a cursor. */
  asked = false;
  #manager;
  #ownId;

  /**
   * @param {Manager} manager
   * @param {Settings} settings
   * @param {{clientId: string, given: boolean}} identity
   */
  constructor(manager, settings, { clientId, given }) {
    this.#manager = manager;
    this.#ownId = given;
    /** @type {Device} */
    this.device = { clientId, sessionId: null, userId: null };
    this.storage = scopedStorage(() => settings.storage(manager.onFault), settings.prefix);
    this.keeper = new Keeper(this.storage, manager.onFault);
    this.queue = new Queue(settings);
    this.roles = new Roles(this, settings, manager);
    /** @type {Outbox} */
    this.outbox = new Outbox(this.queue, {
      keeper: this.keeper,
      clock: settings.clock,
      limit: settings.limit,
      opened: () => this.opened,
      live: () => ["replaying", "connected"].includes(this.standing.state),
      alone: () => this.roles.alone,
      ask: (request) => this.roles.ask(request),
      share: (news) => this.roles.share(news),
      onChange: manager.onSent,
      heard: manager.heard,
    });
    this.receiving = new Receiving({
      rest: manager.rest,
      clock: settings.clock,
      fillLimit: settings.fillLimit,
      ackSeconds: settings.ackSeconds,
      hand: manager.hand,
      userId: () => this.device.userId,
      onMoved: () => this.#savePosition(),
      acknowledge: (cursor) => this.roles.tell({ event: "ack", cursor }),
      onSynced: manager.onSynced,
      onFault: manager.onFault,
    });
    this.opened = this.#open();
    this.opened.catch(() => {}); // whoever connects is told
  }

  async #open() {
    const position = await this.storage.get("position");
    await this.refresh();
    if (!(await this.storage.get("device"))) await this.keeper.put("device", this.device); // over starts without a connection, too
    this.epoch = position?.epoch ?? null;
    this.receiving.inbox.restore(position?.cursor ?? null, position?.taken);
  }

  /** Take over what another tab may have written: who the device is, and what is to be sent. */
  async refresh() {
    await this.keeper.flush(); // what was answered must not be found there
    const device = await this.storage.get("device");
    if (device) this.device = { ...device, ...(this.#ownId ? { clientId: this.device.clientId } : {}) };
    for (const [, kept] of await this.storage.getAll("outbox/")) this.outbox.take(kept, true);
  }

  /** @returns {Record<string, any>} */
  hello() {
    const { clientId: client_id, sessionId: session_id } = this.device;
    const known = { session_id, cursor: this.receiving.inbox.cursor, epoch: this.epoch };
    return { client_id, ...Object.fromEntries(Object.entries(known).filter(([, value]) => value !== null)) };
  }

  /** Forget who this was, where it stood and what it had to send. */
  async forget() {
    await this.opened;
    await this.keeper.flush();
    const kept = await this.storage.getAll("");
    this.outbox.clear();
    await this.storage.apply(kept.map(([key]) => ["delete", key]));
    this.device = { clientId: this.#ownId ? this.device.clientId : generateUniqueId(), sessionId: null, userId: null };
    this.epoch = this.ready = null;
    this.fresh = true;
    this.receiving.restart();
  }

  // ---- what comes over the connection

  /** @param {Envelope<any>} frame */
  take(frame) {
    const { type, payload, meta } = frame;
    const event = type === "connection_event" ? payload.event : type;
    if (event === "ready") this.#takeReady(frame);
    else if (event === "synced") this.receiving.synced(frame);
    else if (event === "ack") this.#takeAck(frame);
    else if (event === "error") this.#takeError(payload, meta.ref);
    else if (event === "heartbeat") this.#answerHeartbeat();
    else {
      if (type === "read_receipt") this.outbox.noteReceipt(frame, this.device.userId);
      this.receiving.take(frame);
    }
  }

  /** @param {Standing} standing */
  stand(standing) {
    const before = this.standing.state;
    this.standing = standing;
    if (!["replaying", "connected"].includes(standing.state) && before !== standing.state) {
      this.receiving.end();
      this.queue.end();
    }
    this.#manager.onStanding(standing);
  }

  /**
   * @param {number} code
   * @param {string} reason
   */
  lost(code, reason) {
    if (code === TOO_BIG) this.queue.refuseLargest(reason);
    if (code === SESSION_REVOKED) this.device.sessionId = null; // or the next process would be refused for it as well
    if (code === SESSION_REVOKED) void this.keeper.put("device", this.device);
    this.receiving.end();
    this.queue.end();
  }

  /** Begin anew: what was held is of another user, or another life of the server. */
  restart() {
    this.receiving.restart();
    this.#manager.onReset();
  }

  /**
   * Return the error for a token of another user than the storage's, or null.
   *
   * @param {string | null | undefined} userId
   */
  stranger(userId) {
    const { userId: own } = this.device;
    if (!own || !userId || own === userId) return null;
    const message = `what is kept here is of the user ${own}, and the token of ${userId}; give each account a name of its own`;
    return new RelayError("wrong_user", message);
  }

  /** @param {Envelope<any>} frame */
  #takeReady(frame) {
    const { user_id, session_id, client_id, epoch, resumed, cursor } = frame.payload;
    const error = this.stranger(user_id);
    if (error) return this.roles.expel(error);
    const renamed = this.epoch !== null && epoch !== this.epoch;
    this.epoch = epoch;
    // A hello without a cursor is never resumed: while the first handlers still work, there is none yet.
    if (renamed || (this.asked && this.receiving.inbox.reached !== null && resumed === false)) this.restart();
    this.fresh = false;
    this.receiving.live = false;
    this.device = { clientId: client_id ?? this.device.clientId, sessionId: session_id, userId: user_id };
    this.ready = frame.payload;
    this.roles.begin(cursor);
    this.receiving.take(frame);
  }

  /** @param {Envelope<any>} frame */
  #takeAck(frame) {
    const id = frame.meta.ref ?? "";
    this.receiving.acked(frame, this.queue.entries.get(id)?.message.envelope);
    this.queue.acked(id, frame.payload);
  }

  /**
   * @param {import("./types.js").ErrorPayload} payload
   * @param {string | undefined} ref
   */
  #takeError(payload, ref) {
    const error = RelayError.fromPayload(payload);
    if (ref === undefined) this.#manager.onFault(error);
    else if (this.roles.leads) this.queue.refused(ref, error);
  }

  #answerHeartbeat() {
    const { cursor } = this.receiving.inbox;
    this.roles.tell({ event: "heartbeat", ...(cursor === null ? {} : { cursor }) });
  }

  #savePosition() {
    if (!this.roles.leads) return;
    const { cursor, taken } = this.receiving.inbox;
    void this.keeper.put("position", { epoch: this.epoch, cursor, taken: [...taken] });
  }
}
