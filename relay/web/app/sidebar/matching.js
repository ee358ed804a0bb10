/** Which names are meant by what somebody types: without case and accents, from the beginnings of words on. */

/** What stands between two words. */
const BETWEEN = /[^\p{L}\p{N}]+/u;
const MARKS = /\p{M}/gu;
/** A word that search would find by its beginning alone. */
const PLAIN_WORD = /^[\p{L}\p{N}\p{M}]{2,}$/u;
/** Something that the server searches for: a letter, a number, or a sign such as 🎉. */
const SOUGHT = /[\p{L}\p{N}]|(?![\x00-\x7f])\p{S}/u;

/** Return a text without case, accents and width. @param {string} text */
export function folded(text) {
  return text.normalize("NFKD").replace(MARKS, "").toLocaleLowerCase();
}

/**
 * Return how well a name is meant by what was typed: 0 for the beginning of the name, 1 for beginnings of its words, 2 for
 * a part, 3 for letters in this order; Infinity if it is not meant.
 *
 * @param {string} typed
 * @param {...string} names the name, and others of the same
 */
export function rank(typed, ...names) {
  const wanted = folded(typed.trim());
  return Math.min(...names.map((name) => rankOf(wanted, folded(name))));
}

/** @param {string} wanted @param {string} name */
function rankOf(wanted, name) {
  if (name.startsWith(wanted)) return 0;
  const words = name.split(BETWEEN);
  const parts = wanted.split(BETWEEN).filter(Boolean);
  if (parts.length > 0 && parts.every((part) => words.some((word) => word.startsWith(part)))) return 1;
  if (name.includes(wanted)) return 2;
  let at = -1;
  const inOrder = wanted.length > 1 && [...wanted].every((letter) => (at = name.indexOf(letter, at + 1)) >= 0);
  return inOrder ? 3 : Infinity;
}

/**
 * Return the query for the server: what was typed, with the last word found by its beginning, as it may not be finished.
 * Empty if there is nothing in it to search for.
 *
 * @param {string} typed
 */
export function queryOf(typed) {
  const parts = typed.trim().split(/\s+/);
  if (!parts.some((part) => SOUGHT.test(part))) return "";
  const last = parts.at(-1) ?? "";
  const quoted = (typed.match(/"/g)?.length ?? 0) % 2 === 1;
  return PLAIN_WORD.test(last) && !quoted ? [...parts.slice(0, -1), `${last}*`].join(" ") : typed.trim();
}
