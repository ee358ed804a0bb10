/**
 * Messages from the server, and the client's position in the server's log: the epoch, which names the log, and the
 * cursor. Hands messages to the handlers, fills gaps, and tells the server how far everything is processed.
 */

import { Timer } from "./clock.js";
import { GapDetector } from "./gaps.js";
import { Inbox } from "./inbox.js";

/** @import { Clock } from "./clock.js" */
/** @import { Gap } from "./gaps.js" */
/** @import { Hand } from "./inbox.js" */
/** @import { RestApiClient } from "./rest-api-client.js" */
/** @import { Envelope } from "./types.js" */

/** @typedef {{gaps: Gap[], filled: Gap[], replayed: number, limited: boolean}} SyncReport the result of a resume */
/** @typedef {{epoch: string | null, cursor: number | null, taken: number[]}} Position as it is stored */

/**
 * @typedef {object} ReceiverHost
 * @property {RestApiClient} rest
 * @property {Hand} hand
 * @property {(report: SyncReport) => void} onSynced
 * @property {() => void} onReset called when everything begins anew
 * @property {(fault: unknown) => void} onFault
 */

/**
 * @typedef {object} ReceiverCallbacks
 * @property {() => string | null} userId
 * @property {(position: Position) => void} save
 * @property {(cursor: number) => void} acknowledge
 */

export class Receiver {
  #live = false;
  /** @type {string | null} */
  #epoch = null;
  /** Whether nothing has come yet: this page has no position of its own. */
  #fresh = true;
  #inbox;
  #host;
  #settings;
  #callbacks;
  #gaps = new GapDetector();
  #pause;
  /** @type {number | null} */
  #acked = null;

  /**
   * @param {ReceiverHost} host
   * @param {{clock: Clock, fillLimit: number, ackSeconds: number}} settings
   * @param {ReceiverCallbacks} callbacks
   */
  constructor(host, settings, callbacks) {
    this.#host = host;
    this.#settings = settings;
    this.#callbacks = callbacks;
    this.#pause = new Timer(settings.clock);
    this.#inbox = new Inbox(host.hand, () => {
      const { cursor, taken } = this.#inbox;
      callbacks.save({ epoch: this.#epoch, cursor, taken: [...taken] });
      this.acknowledge();
    });
  }

  /** Whether the replay is over, and live messages move the cursor. */
  get live() {
    return this.#live;
  }

  /** The name of the server's log, as last heard. */
  get epoch() {
    return this.#epoch;
  }

  /** The position up to which everything is processed, or null. */
  get cursor() {
    return this.#inbox.cursor;
  }

  /** The position up to which everything was handed over, or null. */
  get reached() {
    return this.#inbox.reached;
  }

  // ---- the position

  /** Begin where an earlier page or process stopped. @param {Position | undefined} position */
  restore(position) {
    this.#epoch = position?.epoch ?? null;
    this.#inbox.restore(position?.cursor ?? null, position?.taken);
  }

  /** Forget the position and the log it belongs to. */
  forget() {
    this.#epoch = null;
    this.#fresh = true;
    this.#restart();
  }

  /**
   * A hello was answered.
   *
   * @param {{epoch: string, resumed: boolean}} ready
   * @param {boolean} resumes whether the hello had a cursor
   */
  begin({ epoch, resumed }, resumes) {
    const renamed = this.#epoch !== null && epoch !== this.#epoch;
    this.#epoch = epoch;
    // A hello without a cursor is never resumed: there is none yet while the first handlers still work.
    if (renamed || (resumes && this.reached !== null && resumed === false)) this.#reset();
    this.#fresh = false;
    this.#live = false;
    this.#inbox.resume();
  }

  /**
   * Follow a tab that has the connection; tells whether messages were missed.
   *
   * @param {{epoch: string | null, reached: number | null, live: boolean}} position of that tab
   * @param {boolean} replaying whether a replay is under way there
   */
  join({ epoch, reached, live }, replaying) {
    const renamed = this.#epoch !== null && epoch !== null && epoch !== this.#epoch;
    this.#epoch = epoch ?? this.#epoch;
    if (renamed) this.#reset();
    const begins = this.#fresh || renamed;
    const missed = !begins && (replaying || (reached ?? 0) > (this.reached ?? 0));
    if (begins) this.#inbox.restore(reached);
    this.#fresh = false;
    this.#live = live;
    return missed;
  }

  /**
   * Drop all messages until a replay brings them again, as some were missed; returns the position to replay from. Where
   * nothing was received yet it returns null and drops nothing.
   */
  suspend() {
    this.#inbox.suspend();
    return this.reached;
  }

  /** The connection is gone: the server is told the cursor again over the next one. */
  end() {
    this.#live = false;
    this.#acked = null;
    this.#pause.stop();
  }

  #reset() {
    this.#restart();
    this.#host.onReset();
  }

  #restart() {
    this.#acked = null;
    this.#gaps.clear();
    this.#inbox.restart();
  }

  // ---- messages

  /** @param {Envelope<any>} envelope */
  take(envelope) {
    const gap = this.#gaps.note(envelope, this.#callbacks.userId());
    const after = gap && !this.#inbox.suspended ? this.#fill([gap]) : undefined;
    const moves = this.#live && !envelope.meta.replay;
    this.#inbox.offer(envelope, { position: moves ? envelope.meta.message_id : undefined, after });
  }

  /**
   * Note the ack of an own message.
   *
   * @param {Envelope<"ack">} frame
   * @param {Envelope<any> | undefined} message what it answers
   */
  acked({ payload }, message) {
    this.#inbox.acked(payload, this.#live);
    if (!message) return;
    const meta = { ...message.meta, seq: payload.seq, sender_id: this.#callbacks.userId() ?? "", replay: !this.#live };
    this.#gaps.note({ ...message, meta }, this.#callbacks.userId());
  }

  /**
   * The replay is over. Small gaps that it left are filled before the cursor moves on; large ones are only reported.
   *
   * @param {Envelope<any>} synced
   */
  synced(synced) {
    this.#live = true;
    const { cursor, gaps = [], replayed = 0, limited = false } = synced.payload;
    const small = gaps.filter((/** @type {Gap} */ gap) => gap.to_seq - gap.from_seq < this.#settings.fillLimit);
    const filling = small.length && !this.#inbox.suspended ? this.#fill(small) : undefined;
    this.#inbox.offer(synced, { position: cursor, after: filling });
    const report = (/** @type {Gap[]} */ filled) => {
      const large = gaps.filter((/** @type {Gap} */ gap) => !small.includes(gap));
      const failed = small.filter((/** @type {Gap} */ gap) => !filled.includes(gap));
      this.#host.onSynced({ gaps: [...large, ...failed], filled, replayed, limited });
    };
    if (filling) void filling.then(report);
    else report([]);
  }

  /** Tell the server how far everything is processed, at most once in `ackSeconds`. @param {boolean} [last] at once */
  acknowledge(last = false) {
    const { cursor } = this;
    if (!this.#live || cursor === null || cursor === this.#acked || (this.#pause.running && !last)) return;
    this.#acked = cursor;
    this.#pause.set(this.#settings.ackSeconds, () => this.acknowledge());
    this.#callbacks.acknowledge(cursor);
  }

  /**
   * Fill gaps one after the other; returns those that could be filled. A gap that cannot be fetched does not hold the
   * others back: the application is told of it.
   *
   * @param {Gap[]} gaps
   */
  async #fill(gaps) {
    /** @type {Gap[]} */
    const filled = [];
    for (const gap of gaps) {
      try {
        const { fetchGap } = await import("./gap-fill.js");
        for (const envelope of await fetchGap(this.#host.rest, gap)) {
          const meta = { ...envelope.meta, replay: true };
          this.#inbox.offer({ ...envelope, meta }, { filled: true });
        }
        filled.push(gap);
      } catch (fault) {
        this.#host.onFault(fault);
      }
    }
    return filled;
  }
}
