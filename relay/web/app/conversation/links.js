/** Links in a text: found in the way people write them, in the middle of a sentence of any script. */

const MAX_LENGTH = 4_096;
/** The characters of a link: a space, a quotation mark of any kind, `<`, `>` and full-width punctuation end it. */
const RUN = String.raw`[^\s\p{C}\p{Pi}\p{Pf}<>"\x60|\\^„‚\u3000-\u303f\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65]{1,${MAX_LENGTH}}`;
const WEB = String.raw`(?<![A-Za-z0-9])https?:\/\/${RUN}|(?<![A-Za-z0-9@._/-])www\.(?=[^.\s])${RUN}`;
const MAIL = String.raw`(?<![\w.%+@/-])[\w.%+-]{1,64}@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,24}(?![\w-])`;
const LINK = new RegExp(`(?<web>${WEB})|${MAIL}`, "giu");
/** Punctuation that is not part of a link at its end: that of any script, but for the few signs that addresses end in. */
const CLOSING = /^[^\P{P}/#%&@_\-)}\]]$/u;
/** @type {Record<string, string>} */
const BRACKETS = { ")": "(", "]": "[", "}": "{" };

/**
 * Find the links of a text: web addresses, those without `https://` as well, and mail addresses.
 *
 * @param {string} text
 * @returns {{ from: number, to: number, href: string }[]} in order
 */
export function findLinks(text) {
  const found = [];
  LINK.lastIndex = 0;
  for (let match = LINK.exec(text); match; match = LINK.exec(text)) {
    const { 0: run, index: from, groups } = match;
    if (groups?.web === undefined) {
      found.push({ from, to: from + run.length, href: `mailto:${run}` });
      continue;
    }
    if (run.length > MAX_LENGTH) continue; // it is cut
    const quoted = text[from - 1] === "'" ? run.split("'", 1)[0] : run;
    const address = withoutClosing(balanced(quoted));
    const href = /^www\./i.test(address) ? `https://${address}` : address;
    if (!URL.canParse(href) || /^www\.[^.]*$/i.test(address)) continue;
    found.push({ from, to: from + address.length, href });
    LINK.lastIndex = from + address.length; // another one may follow a bracket
  }
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
