/**
 * Notices that a connection is dead although nothing says so: after a sleep, behind a network that swallows packets.
 *
 * The server says something at least every `heartbeat_seconds`. Silence of one and a half is asked about, silence of
 * two is the end. A page hears nothing of WebSocket's own pings, so what is asked is a heartbeat with an id, which
 * the server answers.
 */

import { Timer } from "./clock.js";

/** @import { Clock } from "./clock.js" */

const PROBE_SECONDS = 5;
const LONGEST_TICK = 10;
const DRIFT_SECONDS = 5;

export class Heartbeat {
  #clock;
  #seconds;
  #ask;
  #lost;
  #tick;
  #probe;
  #heard;

  /**
   * @param {Clock} clock
   * @param {number} seconds the server's interval; 0 for none
   * @param {() => void} ask sends something that the server answers
   * @param {(reason: string) => void} lost
   */
  constructor(clock, seconds, ask, lost) {
    this.#clock = clock;
    this.#seconds = seconds;
    this.#ask = ask;
    this.#lost = lost;
    this.#tick = new Timer(clock);
    this.#probe = new Timer(clock);
    this.#heard = clock.now();
    if (seconds > 0) this.#schedule();
  }

  /** Take note of a sign of life. */
  heard() {
    this.#heard = this.#clock.now();
    this.#probe.stop();
  }

  /** Ask now, and give up unless something is heard within so many seconds. @param {number} [seconds] */
  check(seconds = PROBE_SECONDS) {
    if (this.#probe.running && seconds === PROBE_SECONDS) return;
    this.#probe.set(seconds, () => this.#lost(`no answer within ${seconds} s`));
    this.#ask();
  }

  stop() {
    this.#tick.stop();
    this.#probe.stop();
  }

  #schedule() {
    const seconds = Math.min(this.#seconds / 2, LONGEST_TICK);
    const due = this.#clock.now() + seconds * 1000;
    this.#tick.set(seconds, () => {
      this.#schedule();
      this.#look((this.#clock.now() - due) / 1000);
    });
  }

  /** @param {number} late */
  #look(late) {
    const silence = (this.#clock.now() - this.#heard) / 1000;
    // A timer as late as that has slept with the machine; what came meanwhile may still wait behind it.
    if (late > DRIFT_SECONDS) this.check();
    else if (silence >= this.#seconds * 2) this.#lost(`the server was silent for ${this.#seconds * 2} s`);
    else if (silence >= this.#seconds * 1.5) this.check();
  }
}
