/**
 * Return a promise with its two ends.
 *
 * @template Value
 * @returns {{promise: Promise<Value>, resolve: (value: Value) => void, reject: (error: unknown) => void}}
 */
export function deferred() {
  /** @type {any} */
  const ends = {};
  ends.promise = new Promise((resolve, reject) => Object.assign(ends, { resolve, reject }));
  return ends;
}
