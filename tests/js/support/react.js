/** The React hooks that the recipes use, as strict as React about their arguments. */

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

/** @template Value @param {Value} first @returns {[Value, (value: Value) => void]} */
export function useState(first) {
  return [first, () => {}];
}

/** Mount, unmount and mount again, as StrictMode does. @param {() => () => void} effect @param {unknown[]} _dependencies */
export function useEffect(effect, _dependencies) {
  effect()();
  return effect();
}
