/** A fake clock, which moves only when it is advanced. */

/** Run everything that is ready: promises, and what they begin. */
export async function settle() {
  for (let turn = 0; turn < 8; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

export class FakeClock {
  #now = 1_700_000_000_000;
  #timers = new Map();
  #last = 0;

  now = () => this.#now;

  setTimeout = (callback, ms) => {
    this.#last += 1;
    this.#timers.set(this.#last, { due: this.#now + ms, callback, number: this.#last });
    return this.#last;
  };

  clearTimeout = (timer) => void this.#timers.delete(timer);

  get waiting() {
    return this.#timers.size;
  }

  /** Advance by so many seconds. Timers run at their time, those that they set as well. */
  async advance(seconds) {
    const end = this.#now + seconds * 1000;
    await settle();
    for (;;) {
      const [next] = [...this.#timers.values()].filter(({ due }) => due <= end).sort(inOrder);
      if (!next) break;
      this.#timers.delete(next.number);
      this.#now = Math.max(this.#now, next.due);
      next.callback();
      await settle();
    }
    this.#now = end;
  }

  /** Let time pass while nothing runs, as in a sleep of the machine. Timers that were due run after it. */
  async sleep(seconds) {
    this.#now += seconds * 1000;
    await this.advance(0);
  }
}

function inOrder(one, other) {
  return one.due - other.due || one.number - other.number;
}
