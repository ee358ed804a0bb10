/** Links in a text: found in the way people write them, in the middle of a sentence of any script. */

/** The characters of a link: a space, a quotation mark of any kind, `<`, `>` and full-width punctuation end it. */
const LINK = /(?<![A-Za-z0-9])https?:\/\/[^\s\p{C}\p{Pi}\p{Pf}<>"`|\\^„‚\u3000-\u303f\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65]+/giu;
/** Punctuation that is not part of a link at its end: that of any script, but for the few signs that addresses end in. */
const CLOSING = /^[^\P{P}/#%&@_\-)}\]]$/u;
/** @type {Record<string, string>} */
const BRACKETS = { ")": "(", "]": "[", "}": "{" };

/**
 * Split a text into links and the rest.
 *
 * @param {string} text
 * @returns {{ text: string, link: boolean }[]} in order; together they are the text
 */
export function parts(text) {
  /** @type {{ text: string, link: boolean }[]} */
  const found = [];
  let after = 0;
  for (const { 0: run, index } of text.matchAll(LINK)) {
    const quoted = text[index - 1] === "'" ? run.split("'", 1)[0] : run;
    const address = withoutClosing(balanced(quoted));
    if (!URL.canParse(address)) continue;
    if (index > after) found.push({ text: text.slice(after, index), link: false });
    found.push({ text: address, link: true });
    after = index + address.length;
  }
  if (after < text.length) found.push({ text: text.slice(after), link: false });
  return found;
}

/** Cut a link at the first bracket that closes one opened before it. @param {string} run */
function balanced(run) {
  const open = [];
  for (let at = 0; at < run.length; at += 1) {
    if ("([{".includes(run[at])) open.push(run[at]);
    else if (BRACKETS[run[at]] && open.pop() !== BRACKETS[run[at]]) return run.slice(0, at);
  }
  return run;
}

/** @param {string} run */
function withoutClosing(run) {
  let end = run.length;
  while (end > 0 && CLOSING.test(run[end - 1])) end -= 1;
  return run.slice(0, end);
}
