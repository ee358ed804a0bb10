/** The values of a scenario's placeholders, which are names in angle brackets. */

import assert from "node:assert/strict";

const EARLIEST = 1_600_000_000;
const NOW = 1_700_000_000;

export class Names {
  constructor(known = {}) {
    this.known = known;
  }

  /** Replace placeholders with their values; a new placeholder stands for itself. */
  fill(value) {
    if (Array.isArray(value)) return value.map((one) => this.fill(one));
    if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, this.fill(one)]));
    const name = nameOf(value);
    if (name === null) return value;
    if (name === "time") return NOW;
    return (this.known[name] ??= `the ${name}`);
  }

  /** Fail unless an actual value is the expected one. */
  check(expected, actual) {
    assert.deepEqual(this.#seen(expected, actual), actual);
  }

  /** Return the expected value, with the actual one's values for placeholders that allow any. */
  #seen(expected, actual) {
    if (Array.isArray(expected)) return expected.map((one, place) => this.#seen(one, actual?.[place]));
    if (expected && typeof expected === "object") {
      return Object.fromEntries(Object.entries(expected).map(([name, one]) => [name, this.#seen(one, actual?.[name])]));
    }
    const name = nameOf(expected);
    if (name === null) return expected;
    if (name === "time") return typeof actual === "number" && actual > EARLIEST ? actual : expected;
    if (name === "text") return typeof actual === "string" && actual ? actual : expected;
    return (this.known[name] ??= actual);
  }
}

function nameOf(value) {
  return typeof value === "string" && /^<.+>$/.test(value) ? value.slice(1, -1) : null;
}
