/** Takes what the server sends to the handlers, fills what a replay left out, and tells the server how far it got. */

import { Timer } from "./clock.js";
import { Sequences } from "./gaps.js";
import { Inbox } from "./inbox.js";

/** @import { Clock } from "./clock.js" */
/** @import { Gap } from "./gaps.js" */
/** @import { Hand } from "./inbox.js" */
/** @import { RestApiClient } from "./rest-api-client.js" */
/** @import { Envelope } from "./types.js" */

/** @typedef {{gaps: Gap[], filled: Gap[], replayed: number, limited: boolean}} Report what a resume came to */

/**
 * @typedef {object} Surroundings
 * @property {RestApiClient} rest
 * @property {Clock} clock
 * @property {number} fillLimit
 * @property {number} ackSeconds
 * @property {Hand} hand
 * @property {() => string | null} userId
 * @property {() => void} onMoved
 * @property {(cursor: number) => void} acknowledge
 * @property {(report: Report) => void} onSynced
 * @property {(fault: unknown) => void} onFault
 */

export class Receiving {
  /** Whether the replay is over and the live flow moves the cursor. */
  live = false;
  inbox;
  #around;
  #sequences = new Sequences();
  #pause;
  /** @type {number | null} */
  #acked = null;

  /** @param {Surroundings} around */
  constructor(around) {
    this.#around = around;
    this.#pause = new Timer(around.clock);
    this.inbox = new Inbox(around.hand, () => {
      around.onMoved();
      this.acknowledge();
    });
  }

  /** Begin anew, as the numbers mean other messages now. */
  restart() {
    this.#acked = null;
    this.#sequences.clear();
    this.inbox.restart();
  }

  /** @param {Envelope<any>} envelope */
  take(envelope) {
    const gap = this.#sequences.note(envelope, this.#around.userId());
    const after = gap && !this.inbox.suspended ? this.#fill([gap]) : undefined;
    const moves = this.live && !envelope.meta.replay;
    this.inbox.offer(envelope, { position: moves ? envelope.meta.message_id : undefined, after });
  }

  /**
   * Take note of an ack of one's own message.
   *
   * @param {Envelope<"ack">} frame
   * @param {Envelope<any> | undefined} message what it answers
   */
  acked({ payload }, message) {
    this.inbox.acked(payload, this.live);
    if (!message) return;
    const meta = { ...message.meta, seq: payload.seq, sender_id: this.#around.userId() ?? "", replay: !this.live };
    this.#sequences.note({ ...message, meta }, this.#around.userId());
  }

  /** @param {Envelope<any>} synced */
  synced(synced) {
    this.live = true;
    const { cursor, gaps = [], replayed = 0, limited = false } = synced.payload;
    const small = gaps.filter((/** @type {Gap} */ gap) => gap.to_seq - gap.from_seq < this.#around.fillLimit);
    const large = gaps.filter((/** @type {Gap} */ gap) => !small.includes(gap));
    const filling = small.length && !this.inbox.suspended ? this.#fill(small) : undefined;
    this.inbox.offer(synced, { position: cursor, after: filling });
    const report = (/** @type {Gap[]} */ filled) =>
      this.#around.onSynced({ gaps: [...large, ...small.filter((/** @type {Gap} */ gap) => !filled.includes(gap))], filled, replayed, limited });
    if (filling) void filling.then(report);
    else report([]);
  }

  /** Tell the server how far everything is processed, at most once in `ackSeconds`. @param {boolean} [last] at once */
  acknowledge(last = false) {
    const { cursor } = this.inbox;
    if (!this.live || cursor === null || cursor === this.#acked || (this.#pause.running && !last)) return;
    this.#acked = cursor;
    this.#pause.set(this.#around.ackSeconds, () => this.acknowledge());
    this.#around.acknowledge(cursor);
  }

  /** The connection is gone: the next one is told again. */
  end() {
    this.live = false;
    this.#acked = null;
    this.#pause.stop();
  }

  /**
   * Fill gaps one after the other; gives those that could be filled.
   *
   * @param {Gap[]} gaps
   */
  async #fill(gaps) {
    /** @type {Gap[]} */
    const filled = [];
    for (const gap of gaps) {
      try {
        const { fetchGap } = await import("./filling.js");
        for (const envelope of await fetchGap(this.#around.rest, gap)) {
          const meta = { ...envelope.meta, replay: true };
          this.inbox.offer({ ...envelope, meta }, { filled: true });
        }
        filled.push(gap);
      } catch (fault) {
        this.#around.onFault(fault);
      }
    }
    return filled;
  }
}
