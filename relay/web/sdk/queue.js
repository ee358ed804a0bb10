/**
 * The send queue: puts messages on the wire in order, again and again until each has its answer.
 *
 * Contract:
 *     A message leaves by its ack, or when it is discarded or cancelled. One that is not kept (`keep: false`) also
 *     leaves with its connection.
 *     MUST NOT reorder: of the messages to one target, at most `inFlight` are on the wire (1 by default), and none
 *     goes before one that was written earlier; but those of a type that a group's slow mode holds back hold no others.
 *     A message is in the storage before it is on the wire.
 */

import { RelayError } from "./errors.js";
import { BUSY_CODES } from "./protocol.js";

/** @import { Backoff } from "./backoff.js" */
/** @import { Clock } from "./clock.js" */
/** @import { SentMessage } from "./sent-message.js" */
/** @import { Envelope } from "./types.js" */

/**
 * @typedef {object} Entry
 * @property {SentMessage} message
 * @property {number} number its place in the order of writing
 * @property {boolean} keep whether it outlasts the connection
 * @property {boolean} saved
 * @property {boolean} [onWire]
 * @property {boolean} [tried] whether it may have reached the server
 * @property {number} [refusals]
 */

/** @typedef {(envelope: Envelope<any>) => void} Send */

/** Tries after other errors that say `retry`: one that is not about load may never pass. */
const OTHER_RETRIES = 5;
const MAX_ON_WIRE = 32;
/** The lane of messages that are not kept, which wait for no others. No target has this name. */
const UNORDERED = "\n";

export class Queue {
  /** @type {Map<string, Entry>} */
  entries = new Map();
  /** @type {Set<Entry>} the failed ones among them, the first to fail first */
  failed = new Set();
  /** @type {Map<string, Entry[]>} the messages to send, by target */
  #lanes = new Map();
  /** @type {Send | null} */
  #send = null;
  /** @type {Map<string, any>} the timers that hold messages: all (""), or those of a type to a target, by slow mode */
  #holds = new Map();
  #onWire = 0;
  #window = MAX_ON_WIRE;
  #maxWindow = MAX_ON_WIRE;
  #largest = Infinity;
  #clock;
  #backoff;
  #inFlight;
  #onAnswer;

  /**
   * @param {{clock: Clock, backoff: Backoff, inFlight: number}} settings
   * @param {(entry: Entry) => void} onAnswer called for each message that was acked or refused for good
   */
  constructor({ clock, backoff, inFlight }, onAnswer) {
    this.#clock = clock;
    this.#backoff = backoff;
    this.#inFlight = inFlight;
    this.#onAnswer = onAnswer;
  }

  /** Every kept message, oldest first. */
  get messages() {
    const kept = [...this.entries.values()].filter((entry) => entry.keep);
    return kept.sort((one, other) => one.number - other.number).map((entry) => entry.message);
  }

  /**
   * Add a message. One that is not saved holds back those behind it until `ready` is called.
   *
   * @param {Entry} entry
   */
  add(entry) {
    this.entries.set(entry.message.id, entry);
    if (entry.message.state === "failed") return void this.failed.add(entry);
    const target = laneOf(entry);
    const lane = this.#lanes.get(target) ?? [];
    this.#lanes.set(target, lane);
    const place = lane.findLastIndex((earlier) => earlier.number <= entry.number);
    lane.splice(place + 1, 0, entry);
    this.#pump(target);
  }

  /** A message is in the storage: it may be sent. @param {Entry} entry */
  ready(entry) {
    entry.saved = true;
    this.#pump(laneOf(entry));
  }

  // ---- towards the wire

  /**
   * Start over on a new connection: every message without an answer is sent again, oldest first.
   *
   * @param {Send} send
   * @param {Record<string, number>} limits those of `ready`
   */
  begin(send, limits) {
    this.end();
    this.#send = send;
    this.#window = this.#maxWindow = Math.min(MAX_ON_WIRE, limits.in_flight || MAX_ON_WIRE);
    this.#largest = limits.frame_bytes || Infinity;
    this.#pumpAll();
  }

  /** The connection is gone, and with it the messages that are not kept. */
  end() {
    this.#send = null;
    this.#onWire = 0;
    for (const entry of [...this.entries.values()]) {
      entry.onWire = false;
      if (!entry.keep) this.fail(entry.message.id, new RelayError("offline", "connection lost"));
    }
  }

  // ---- answers

  /**
   * @param {string} id
   * @param {import("./types.js").AckPayload} ack
   */
  acked(id, ack) {
    const entry = this.entries.get(id);
    if (!entry) return;
    this.#window = Math.min(this.#maxWindow, this.#window * 2);
    this.#remove(entry);
    entry.message.become("sent", { ack });
    this.#onAnswer(entry);
    this.#pumpAll();
  }

  /**
   * Fail a message for good; or, where it may be retried, hold all messages and start again from the oldest. After that
   * the window starts at one and doubles with each ack: a busy server would only refuse more.
   *
   * @param {string} id
   * @param {RelayError} error
   */
  refused(id, error) {
    const entry = this.entries.get(id);
    if (!entry) return;
    entry.refusals = (entry.refusals ?? 0) + 1;
    const patient = BUSY_CODES.includes(error.code) || entry.refusals <= OTHER_RETRIES;
    if (!(error.retry && patient && entry.keep)) return this.fail(id, error);
    const wait = error.retryAfter ?? this.#backoff.delay(entry.refusals - 1);
    entry.message.become("queued", { error });
    this.#leaveWire(entry);
    const slow = error.details?.reason === "slow_mode";
    if (!slow) this.#window = 1;
    this.#hold(slow ? slowed(entry) : "", wait);
    this.#pumpAll();
  }

  /**
   * Fail a message for good. A kept one stays visible until it is retried or discarded.
   *
   * @param {string} id
   * @param {Error} error
   */
  fail(id, error) {
    const entry = this.entries.get(id);
    if (!entry || entry.message.state === "failed") return;
    this.#remove(entry);
    if (entry.keep) {
      this.entries.set(id, entry);
      this.failed.add(entry);
    }
    entry.message.become("failed", { error });
    this.#onAnswer(entry);
    this.#pumpAll();
  }

  /**
   * Fail the largest message on the wire: the server closed the connection because of its size, and it names no message.
   *
   * @param {string} reason
   */
  refuseLargest(reason) {
    const suspects = [...this.entries.values()].filter((entry) => entry.onWire);
    const [culprit] = suspects.sort((one, other) => sizeOf(other) - sizeOf(one));
    if (culprit) this.fail(culprit.message.id, new RelayError("too_large", reason || "larger than the server takes"));
  }

  /**
   * Take a message out, whatever its state.
   *
   * @param {string} id
   */
  drop(id) {
    const entry = this.entries.get(id);
    if (entry) this.#remove(entry);
    this.#pumpAll();
  }

  // ---- inside

  /** @param {Entry} entry */
  #remove(entry) {
    this.entries.delete(entry.message.id);
    this.failed.delete(entry);
    const target = laneOf(entry);
    const lane = this.#lanes.get(target) ?? [];
    if (lane.includes(entry)) lane.splice(lane.indexOf(entry), 1);
    if (!lane.length) this.#lanes.delete(target);
    this.#leaveWire(entry);
  }

  /** @param {Entry} entry */
  #leaveWire(entry) {
    if (entry.onWire) this.#onWire -= 1;
    entry.onWire = false;
  }

  /** @param {string} what @param {number} seconds */
  #hold(what, seconds) {
    const timer = this.#clock.setTimeout(() => {
      if (this.#holds.get(what) === timer) this.#holds.delete(what);
      this.#pumpAll();
    }, seconds * 1000);
    this.#holds.set(what, timer);
    timer.unref?.(); // a process that is done does not wait for it
  }

  #pumpAll() {
    if (!this.#send) return;
    for (const target of [...this.#lanes.keys()]) this.#pump(target);
  }

  /** @param {string} target */
  #pump(target) {
    let room = target === UNORDERED ? Infinity : this.#inFlight;
    for (const entry of this.#lanes.get(target) ?? []) {
      if (this.#holds.has(slowed(entry))) continue;
      if (!this.#send || !entry.saved || this.#holds.has("") || this.#onWire >= this.#window || room-- < 1) return;
      if (!entry.onWire) this.#put(entry, this.#send);
    }
  }

  /**
   * @param {Entry} entry
   * @param {Send} send
   */
  #put(entry, send) {
    if (sizeOf(entry) > this.#largest) {
      const error = new RelayError("too_large", `larger than ${this.#largest} bytes`);
      return this.fail(entry.message.id, error);
    }
    entry.onWire = entry.tried = true;
    this.#onWire += 1;
    send(entry.message.envelope);
  }
}

/** @param {Entry} entry */
function laneOf(entry) {
  return entry.keep ? (entry.message.envelope.meta.target_id ?? "") : UNORDERED;
}

/** @param {Entry} entry */
function slowed({ message: { envelope } }) {
  return envelope.type + UNORDERED + envelope.meta.target_id;
}

/** @param {Entry} entry */
function sizeOf(entry) {
  return new TextEncoder().encode(JSON.stringify(entry.message.envelope)).length;
}
