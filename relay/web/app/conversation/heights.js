/** The heights of the lines of a long list, of which most are not drawn: measured ones, and estimates for the rest. */

/** @typedef {{ key: string, height: number, guess: number }} Tall height: as measured, 0 before; guess: an estimate, above 0 */

export class Heights {
  /** The measured heights, by the lines' keys: a line that is drawn anew begins with the height it had. @type {Map<string, number>} */
  #measured = new Map();
  /** @type {readonly Tall[]} */
  #lines = [];
  /** Where each line begins, and after the last one the end. */
  #tops = new Float64Array(1);
  /** The first line whose place may have changed. */
  #from = 0;

  /** Take the lines that there are now. @param {readonly Tall[]} lines */
  arrange(lines) {
    for (const line of lines) if (line.height === 0) line.height = this.#measured.get(line.key) ?? 0;
    this.#lines = lines;
    if (this.#tops.length < lines.length + 1) this.#tops = new Float64Array(Math.ceil(lines.length * 1.5) + 16);
    this.#from = 0;
  }

  /** Note the height of a line. @param {number} at @param {number} height @returns {boolean} whether it is another one */
  measure(at, height) {
    const line = this.#lines[at];
    if (line.height === height) return false;
    const before = line.height || line.guess;
    line.height = height;
    this.#measured.set(line.key, height);
    if (before === height) return false;
    this.#from = Math.min(this.#from, at);
    return true;
  }

  /** Forget what was measured, as the list has another width. */
  forget() {
    this.#measured.clear();
    for (const line of this.#lines) {
      line.guess = line.height || line.guess;
      line.height = 0;
    }
  }

  /** Return where a line begins, in pixels from the first one; for the number of lines, the end. @param {number} at */
  top(at) {
    this.#sum();
    return this.#tops[at];
  }

  /** The height of all lines. */
  get total() {
    return this.top(this.#lines.length);
  }

  /** Return which line is at a height, the nearest one where none is. @param {number} pixels */
  at(pixels) {
    this.#sum();
    let [low, high] = [0, Math.max(0, this.#lines.length - 1)];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#tops[middle] <= pixels) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  #sum() {
    for (let at = this.#from; at < this.#lines.length; at += 1) {
      this.#tops[at + 1] = this.#tops[at] + (this.#lines[at].height || this.#lines[at].guess);
    }
    this.#from = this.#lines.length;
  }
}
