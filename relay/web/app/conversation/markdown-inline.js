/**
 * Markdown within a paragraph: emphasis, code, links, mentions.
 *
 * Rule: every character is looked at a bounded number of times, whatever the text is. What a search has passed in vain, no
 * other search passes again; nesting and addresses have a limit.
 */

import { findLinks } from "./links.js";

/**
 * @typedef {{ type: "text" | "code", text: string }
 *   | { type: "strong" | "em" | "strike", depth: number, children: Inline[] }
 *   | { type: "link", href: string, children: Inline[] }
 *   | { type: "mention", id: string, text: string }} Inline
 */

/**
 * @typedef {object} Options
 * @property {(written: string) => string | null} [mention] returns the id with which what follows an `@` begins; null for none
 */

/** @typedef {{ type: "run", text: string, opens: boolean, closes: boolean }} Run a run of marks that is not resolved yet */
/** @typedef {Inline | Run | { type: "bracket", text: string }} Token */

const MAX_DEPTH = 8;
const MAX_ADDRESS = 2_048;
const MAX_PARENTHESES = 32;
const SPECIAL = /[*_~`\\[\]@]/g;
const ESCAPED = "*_~`";
const SPACE = /\s/;
const PUNCTUATION = /[\p{P}\p{S}]/u;
const MENTION = /@([A-Za-z0-9_][A-Za-z0-9_.@+-]{0,63})/y;
const SCHEMES = /^(?:https?:\/\/|mailto:)/i;

/** How much was done so far: tests compare it with the length of a text. */
export const work = { steps: 0 };

/**
 * Read the text of a paragraph.
 *
 * @param {string} text
 * @param {Options} options
 * @returns {Inline[]}
 */
export function readInline(text, options) {
  return new Reader(text, options).read();
}

class Reader {
  /** @type {Token[]} */
  #out = [];
  /** Where in `out` the brackets are that may begin a link. @type {number[]} */
  #brackets = [];
  #at = 0;
  #nextLink = 0;
  /** Where the runs of so many backticks are, by their number, the last one first. @type {Map<number, number[]> | null} */
  #ticks = null;

  /** @param {string} text @param {Options} options */
  constructor(text, options) {
    this.text = text;
    this.options = options;
    this.links = findLinks(text);
  }

  read() {
    const { text } = this;
    while (this.#at < text.length) {
      const link = this.links[this.#nextLink];
      SPECIAL.lastIndex = this.#at;
      const next = SPECIAL.exec(text)?.index ?? text.length;
      work.steps += Math.min(next, link?.from ?? next) - this.#at + 1;
      if (link && link.from < this.#at) this.#nextLink += 1;
      else if (link && link.from <= next) this.#takeLink(link);
      else {
        this.#say(text.slice(this.#at, next));
        this.#at = next;
        if (next < text.length) this.#special(text[next]);
      }
    }
    return resolve(this.#out);
  }

  /** Add text as it is, and go on after it. @param {string} text */
  #say(text) {
    if (text) this.#out.push({ type: "text", text });
  }

  /** @param {{ from: number, to: number, href: string }} link */
  #takeLink({ from, to, href }) {
    this.#nextLink += 1;
    this.#say(this.text.slice(this.#at, from));
    this.#out.push({ type: "link", href, children: [{ type: "text", text: this.text.slice(from, to) }] });
    this.#at = to;
  }

  /** @param {string} sign */
  #special(sign) {
    const taken =
      sign === "`" ? this.#code()
      : sign === "\\" ? this.#escape()
      : sign === "@" ? this.#mention()
      : sign === "[" ? this.#open()
      : sign === "]" ? this.#close()
      : this.#run(sign); // prettier-ignore
    if (taken > 0) this.#at += taken;
    else {
      this.#say(sign);
      this.#at += 1;
    }
  }

  #code() {
    const { text } = this;
    const length = runLength(text, this.#at);
    this.#ticks ??= ticksOf(text);
    const places = this.#ticks.get(length) ?? [];
    while (places.length > 0 && places[places.length - 1] <= this.#at) places.pop(); // the last one is the next
    const end = places.at(-1);
    if (end === undefined) {
      this.#say("`".repeat(length));
      return length;
    }
    const inside = text.slice(this.#at + length, end).replaceAll("\n", " ");
    const padded = /^ .* $/.test(inside) && inside.trim() !== "";
    this.#out.push({ type: "code", text: padded ? inside.slice(1, -1) : inside });
    work.steps += inside.length;
    return end + length - this.#at;
  }

  #escape() {
    const { text } = this;
    const escaped = text[this.#at + 1];
    if (!escaped || !ESCAPED.includes(escaped)) return 0;
    const arm = text[this.#at - 1] === "¯"; // ¯\_(ツ)_/¯ keeps it
    this.#say(arm ? `\\${escaped}` : escaped);
    return 2;
  }

  #mention() {
    const { text, options } = this;
    if (!options.mention || /[\w.@+-]/.test(text[this.#at - 1] ?? "")) return 0;
    MENTION.lastIndex = this.#at;
    const written = MENTION.exec(text)?.[1];
    const id = written && options.mention(written);
    if (!id) return 0;
    this.#out.push({ type: "mention", id, text: `@${id}` });
    return id.length + 1;
  }

  #open() {
    this.#brackets.push(this.#out.length);
    this.#out.push({ type: "bracket", text: "[" });
    return 1;
  }

  #close() {
    const begin = this.#brackets.pop();
    const address = begin === undefined ? null : addressAt(this.text, this.#at + 1);
    if (begin === undefined || !address) return 0;
    this.#brackets = []; // no link is in another one
    const children = resolve(this.#out.slice(begin + 1));
    if (children.length === 0 || misleads(children, address.href)) return 0;
    this.#out.length = begin;
    this.#out.push({ type: "link", href: address.href, children: withoutLinks(children) });
    return 1 + address.length;
  }

  /** @param {string} sign */
  #run(sign) {
    const { text } = this;
    const length = runLength(text, this.#at);
    const run = sign.repeat(length);
    const before = characterBefore(text, this.#at);
    const after = this.#at + length < text.length ? String.fromCodePoint(/** @type {number} */ (text.codePointAt(this.#at + length))) : "";
    const [spaceBefore, spaceAfter] = [!before || SPACE.test(before), !after || SPACE.test(after)];
    const [signBefore, signAfter] = [PUNCTUATION.test(before), PUNCTUATION.test(after)];
    const left = !spaceAfter && (!signAfter || spaceBefore || signBefore);
    const right = !spaceBefore && (!signBefore || spaceAfter || signAfter);
    const opens = sign === "_" ? left && (!right || signBefore) : left;
    const closes = sign === "_" ? right && (!left || signAfter) : right;
    if ((sign === "~" && length !== 2) || !(opens || closes)) this.#say(run);
    else this.#out.push({ type: "run", text: run, opens, closes });
    return length;
  }
}

/**
 * Resolve the emphasis of tokens: a run that closes takes what is since the last run that opens the same.
 *
 * @param {Token[]} tokens
 * @returns {Inline[]}
 */
function resolve(tokens) {
  /** @type {Token[]} */
  const out = [];
  /** Where in `out` runs are that are open. @type {{ at: number, sign: string, length: number, run: Run }[]} */
  const open = [];
  /** How many of `open` a search of each kind has passed in vain. @type {Map<string, number>} */
  const bottoms = new Map();
  for (const token of tokens) {
    work.steps += 1;
    if (token.type === "run") resolveRun(token, out, open, bottoms);
    else out.push(token);
  }
  return joined(out);
}

/** @param {Run} run @param {Token[]} out @param {{ at: number, sign: string, length: number, run: Run }[]} open @param {Map<string, number>} bottoms */
function resolveRun(run, out, open, bottoms) {
  const sign = run.text[0];
  let left = run.text.length;
  const kind = `${sign}${run.opens}${run.text.length % 3}`;
  while (run.closes && left > 0) {
    const bottom = bottoms.get(kind) ?? 0;
    let found = open.length - 1;
    while (found >= bottom && !fits(open[found], run, sign)) {
      found -= 1;
      work.steps += 1;
    }
    if (found < bottom) {
      bottoms.set(kind, open.length);
      break;
    }
    const opener = open[found];
    open.length = found + 1;
    const inside = out.splice(opener.at + 1);
    const depth = 1 + inside.reduce((most, one) => ("depth" in one ? Math.max(most, one.depth) : most), 0);
    work.steps += inside.length;
    if (depth > MAX_DEPTH) {
      for (const one of inside) out.push(one);
      open.length = 0; // all of it stays as it was typed
      break;
    }
    const both = opener.length >= 2 && left >= 2;
    const taken = both ? 2 : 1;
    opener.length -= taken;
    left -= taken;
    out[opener.at] = { type: "text", text: sign.repeat(opener.length) };
    if (opener.length === 0) {
      out.pop();
      open.pop();
    }
    for (const [one, height] of bottoms) bottoms.set(one, Math.min(height, open.length));
    out.push({ type: sign === "~" ? "strike" : both ? "strong" : "em", depth, children: joined(inside) });
  }
  if (left === 0) return;
  if (run.opens) open.push({ at: out.length, sign, length: left, run });
  out.push({ type: "text", text: sign.repeat(left) });
}

/** Tell whether a run closes an open one. @param {{ sign: string, length: number, run: Run }} opener @param {Run} run @param {string} sign */
function fits({ sign: opened, run: opener }, run, sign) {
  if (opened !== sign) return false;
  const either = opener.closes || run.opens; // then the lengths tell which belong together
  const [one, other] = [opener.text.length, run.text.length];
  return !either || (one + other) % 3 !== 0 || (one % 3 === 0 && other % 3 === 0);
}

/** Join what is only text. @param {Token[]} tokens @returns {Inline[]} */
function joined(tokens) {
  /** @type {Inline[]} */
  const out = [];
  /** @type {string[]} */
  let texts = [];
  const flush = () => {
    const text = texts.join("");
    if (text) out.push({ type: "text", text });
    texts = [];
  };
  for (const token of tokens) {
    if (token.type === "text" || token.type === "run" || token.type === "bracket") texts.push(token.text);
    else {
      flush();
      out.push(token);
    }
  }
  flush();
  return out;
}

/**
 * Return the address in parentheses at a place, and how long both are; null where there is none that may be linked.
 *
 * @param {string} text
 * @param {number} at
 */
function addressAt(text, at) {
  if (text[at] !== "(") return null;
  let depth = 0;
  const limit = Math.min(text.length, at + MAX_ADDRESS);
  for (let end = at + 1; end < limit; end += 1) {
    work.steps += 1;
    const sign = text[end];
    if (/[\s<>\p{C}]/u.test(sign)) return null;
    if (sign === "(" && (depth += 1) > MAX_PARENTHESES) return null;
    if (sign !== ")" || (depth -= 1) >= 0) continue;
    const href = text.slice(at + 1, end);
    return SCHEMES.test(href) && URL.canParse(href) ? { href, length: end + 1 - at } : null;
  }
  return null;
}

/** Tell whether a link's text is an address, and not where the link leads. @param {Inline[]} children @param {string} href */
function misleads(children, href) {
  return children.some((one) => one.type === "link" && new URL(one.href).host !== new URL(href).host);
}

/** @param {Inline[]} children @returns {Inline[]} */
function withoutLinks(children) {
  return children.flatMap((one) => {
    if (one.type === "link") return one.children;
    return "children" in one ? { ...one, children: withoutLinks(one.children) } : one;
  });
}

/** @param {string} text @param {number} at */
function runLength(text, at) {
  let end = at + 1;
  while (text[end] === text[at]) end += 1;
  work.steps += end - at;
  return end - at;
}

/** Return where the runs of backticks are, by their length, the last one first. @param {string} text */
function ticksOf(text) {
  /** @type {Map<number, number[]>} */
  const found = new Map();
  for (const { 0: run, index } of [...text.matchAll(/`+/g)].reverse()) {
    const places = found.get(run.length) ?? [];
    places.push(index);
    found.set(run.length, places);
  }
  return found;
}

/** @param {string} text @param {number} at */
function characterBefore(text, at) {
  const low = text[at - 1] ?? "";
  return /[\udc00-\udfff]/.test(low) ? text.slice(at - 2, at) : low;
}
