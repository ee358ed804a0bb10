/** The two hooks of React's that the recipes use, as strict as React about what it is given. */

/** @template {Function} Callback @param {Callback} callback @param {unknown[]} _dependencies */
export function useCallback(callback, _dependencies) {
  return callback;
}

/**
 * @template Value
 * @param {(callback: () => void) => () => void} subscribe
 * @param {() => Value} read
 */
export function useSyncExternalStore(subscribe, read) {
  const value = read();
  if (!Object.is(value, read())) throw new Error("the value changes with each look at it, and would be drawn forever");
  subscribe(() => {})();
  return value;
}
