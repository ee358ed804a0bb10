/** Random numbers that can be repeated: the same seed gives the same numbers. */

/** @param {number} seed */
export function randomOf(seed) {
  let state = seed >>> 0;
  /** From 0 to 1 (mulberry32). */
  const number = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
  return {
    number,
    /** @param {number} probability */
    chance: (probability) => number() < probability,
    /** @template Value @param {readonly Value[]} values @returns {Value} */
    pick: (values) => /** @type {any} */ (values[Math.floor(number() * values.length)]),
    /** @template Value @param {readonly (readonly [number, Value])[]} choices @returns {Value} */
    weighted(choices) {
      let left = number() * choices.reduce((sum, [weight]) => sum + weight, 0);
      for (const [weight, value] of choices) if ((left -= weight) < 0) return value;
      return /** @type {any} */ (choices.at(-1)?.[1]);
    },
  };
}
