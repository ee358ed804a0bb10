/**
 * The heartbeat: notices a dead connection that no close event tells of, after a sleep or where a network drops packets.
 *
 * The server sends something at least every `heartbeat_seconds`. After one and a half of these without a message the
 * client probes, after two it gives the connection up. A page does not see WebSocket's own pings, so a probe is a
 * heartbeat with an id, which the server answers.
 */

import { Timer } from "./clock.js";

/** @import { Clock } from "./clock.js" */

const PROBE_SECONDS = 5;
const MAX_TICK_SECONDS = 10;
/** A timer as late as this has slept with the machine. */
const DRIFT_SECONDS = 5;

export class Heartbeat {
  #clock;
  #seconds;
  #sendProbe;
  #onLost;
  #tick;
  #probe;
  #heard;

  /**
   * @param {Clock} clock
   * @param {number} seconds the server's interval; 0 for none
   * @param {() => void} sendProbe
   * @param {(reason: string) => void} onLost
   */
  constructor(clock, seconds, sendProbe, onLost) {
    this.#clock = clock;
    this.#seconds = seconds;
    this.#sendProbe = sendProbe;
    this.#onLost = onLost;
    this.#tick = new Timer(clock);
    this.#probe = new Timer(clock);
    this.#heard = clock.now();
    if (seconds > 0) this.#schedule();
  }

  /** Note a message of the server's. */
  heard() {
    this.#heard = this.#clock.now();
    this.#probe.stop();
  }

  /** Probe now, and give the connection up unless a message comes in time. @param {number} [seconds] */
  check(seconds = PROBE_SECONDS) {
    if (this.#probe.running && seconds === PROBE_SECONDS) return;
    this.#probe.set(seconds, () => this.#onLost(`no answer within ${seconds} s`));
    this.#sendProbe();
  }

  stop() {
    this.#tick.stop();
    this.#probe.stop();
  }

  #schedule() {
    const seconds = Math.min(this.#seconds / 2, MAX_TICK_SECONDS);
    const due = this.#clock.now() + seconds * 1000;
    this.#tick.set(seconds, () => {
      this.#schedule();
      this.#look((this.#clock.now() - due) / 1000);
    });
  }

  /** @param {number} late */
  #look(late) {
    const silence = (this.#clock.now() - this.#heard) / 1000;
    // After a sleep, messages that arrived before it may still wait to be read: probe before giving up.
    if (late > DRIFT_SECONDS) this.check();
    else if (silence >= this.#seconds * 2) this.#onLost(`the server was silent for ${this.#seconds * 2} s`);
    else if (silence >= this.#seconds * 1.5) this.check();
  }
}
