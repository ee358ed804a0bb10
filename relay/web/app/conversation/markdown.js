/**
 * Markdown, a part of it: what people write in messages. Emphasis, code, quotes, lists and links are as CommonMark has them;
 * headings, tables, pictures and HTML are not there and stay as they were typed. The text becomes a tree of plain objects,
 * never markup, in time proportional to its length.
 */

import { readInline, work } from "./markdown-inline.js";

/** @import { Inline, Options } from "./markdown-inline.js" */

/**
 * @typedef {{ type: "paragraph", children: Inline[] }
 *   | { type: "code", language: string, text: string }
 *   | { type: "quote", children: Block[] }
 *   | { type: "list", ordered: boolean, items: { value: number, children: Block[] }[] }} Block
 */

const MAX_QUOTES = 3;
const MAX_LISTS = 2;
const FENCE = /^ {0,3}(?:(`{3,})([^`]*)|(~{3,})(.*))$/;
/** A quote has a space after its sign: `>:(` and `>_<` are faces. */
const QUOTE = /^ {0,3}>(?: |(?=>)|$)/;
const ITEM = /^( *)([-*•]|(\d{1,9})[.)])[ \t]+(?=\S)/;
const LANGUAGE = /^[\w+#.-]{1,30}/;

/** @typedef {{ quotes: number, lists: number }} Depth */

/**
 * Read a text.
 *
 * @param {string} text
 * @param {Options} [options]
 * @returns {Block[]}
 */
export function readMarkdown(text, options = {}) {
  return readBlocks(text.split(/\r\n?|\n/), { quotes: 0, lists: 0 }, options);
}

/** @param {string[]} lines @param {Depth} depth @param {Options} options */
function readBlocks(lines, depth, options) {
  /** @type {Block[]} */
  const blocks = [];
  let at = 0;
  while (at < lines.length) {
    const from = at;
    if (lines[at].trim() === "") at += 1;
    else if (FENCE.test(lines[at])) at = readFence(lines, at, blocks);
    else if (isQuote(lines[at], depth)) at = readQuote(lines, at, depth, options, blocks);
    else if (itemOf(lines[at], depth)) at = readList(lines, at, depth, options, blocks);
    else {
      do at += 1;
      while (at < lines.length && lines[at].trim() !== "" && !interrupts(lines[at], depth));
      blocks.push({ type: "paragraph", children: readInline(lines.slice(from, at).join("\n").trimEnd(), options) });
    }
    work.steps += at - from;
  }
  return blocks;
}

/** Tell whether a line ends the paragraph before it. @param {string} line @param {Depth} depth */
function interrupts(line, depth) {
  const item = itemOf(line, depth);
  return FENCE.test(line) || isQuote(line, depth) || (item !== null && (item.value ?? 1) === 1); // not "in\n1986. That year"
}

/** @param {string} line @param {Depth} depth */
function isQuote(line, depth) {
  return depth.quotes < MAX_QUOTES && QUOTE.test(line);
}

/**
 * Return the start of a list's item: its indentation, its number where it has one, and the length of both.
 *
 * @param {string} line
 * @param {Depth} depth
 */
function itemOf(line, depth) {
  const [all, indent, , number] = (depth.lists < MAX_LISTS && ITEM.exec(line)) || [];
  if (all === undefined || indent.length > 3) return null;
  return { length: all.length, indent: indent.length, value: number === undefined ? null : Number(number) };
}

/** @param {string[]} lines @param {number} at @param {Block[]} blocks */
function readFence(lines, at, blocks) {
  const [, ticks, ticksInfo, tildes, tildesInfo] = /** @type {RegExpExecArray} */ (FENCE.exec(lines[at]));
  const fence = ticks ?? tildes;
  const isEnd = (/** @type {string} */ line) => {
    const mark = line.trim();
    return mark.length >= fence.length && mark === fence[0].repeat(mark.length) && line.search(/\S/) < 4;
  };
  let end = at + 1;
  while (end < lines.length && !isEnd(lines[end])) end += 1;
  const [language = ""] = LANGUAGE.exec((ticksInfo ?? tildesInfo).trim()) ?? [];
  blocks.push({ type: "code", language, text: lines.slice(at + 1, end).join("\n") });
  return end + 1;
}

/** @param {string[]} lines @param {number} at @param {Depth} depth @param {Options} options @param {Block[]} blocks */
function readQuote(lines, at, depth, options, blocks) {
  let end = at;
  while (end < lines.length && QUOTE.test(lines[end])) end += 1;
  const inside = lines.slice(at, end).map((line) => line.replace(QUOTE, ""));
  blocks.push({ type: "quote", children: readBlocks(inside, { ...depth, quotes: depth.quotes + 1 }, options) });
  return end;
}

/** @param {string[]} lines @param {number} at @param {Depth} depth @param {Options} options @param {Block[]} blocks */
function readList(lines, at, depth, options, blocks) {
  const first = itemOf(lines[at], depth);
  const inside = { ...depth, lists: depth.lists + 1 };
  const items = [];
  const ordered = first !== null && first.value !== null;
  const deeper = new RegExp(`^(?: {${(first?.indent ?? 0) + 2},}|\\t)\\S`);
  let number = 0;
  while (at < lines.length) {
    const item = itemOf(lines[at], depth);
    if (!item || (item.value !== null) !== ordered) break;
    let end = at + 1;
    while (end < lines.length && (deeper.test(lines[end]) || (lines[end].trim() === "" && deeper.test(lines[end + 1] ?? "")))) end += 1;
    const rest = lines.slice(at + 1, end).map((line) => line.slice(Math.min(item.length, line.search(/\S|$/))));
    number = item.value !== null && item.value > number ? item.value : number + 1; // as typed, but 1. 1. 1. counts
    items.push({ value: number, children: readBlocks([lines[at].slice(item.length), ...rest], inside, options) });
    at = end;
  }
  blocks.push({ type: "list", ordered, items });
  return at;
}

/**
 * Return what a text says in one line, without its marks.
 *
 * @param {string} text
 * @param {(id: string) => string} [nameOf] returns a mentioned user's name
 * @param {Options} [options]
 */
export function textOf(text, nameOf = (id) => id, options = {}) {
  return readMarkdown(text, options).map((block) => blockText(block, nameOf)).join(" ").replace(/\s+/g, " ").trim();
}

/** @param {Block} block @param {(id: string) => string} nameOf @returns {string} */
function blockText(block, nameOf) {
  if (block.type === "code") return block.text;
  if (block.type === "paragraph") return inlineText(block.children, nameOf);
  if (block.type === "quote") return `> ${block.children.map((one) => blockText(one, nameOf)).join(" ")}`;
  const said = block.items.map(({ value, children }) => `${block.ordered ? `${value}.` : "•"} ${children.map((one) => blockText(one, nameOf)).join(" ")}`);
  return said.join(" ");
}

/** @param {Inline[]} children @param {(id: string) => string} nameOf @returns {string} */
export function inlineText(children, nameOf = (id) => id) {
  return children
    .map((one) => {
      if (one.type === "mention") return `@${nameOf(one.id)}`;
      return "children" in one ? inlineText(one.children, nameOf) : one.text;
    })
    .join("");
}

/**
 * Return the ids of those whom a text calls by `@id`, as they are written: code is not looked into. `all` calls everybody.
 *
 * @param {string} text
 * @returns {string[]}
 */
export function mentionsIn(text) {
  /** @type {Set<string>} */
  const found = new Set();
  const mention = (/** @type {string} */ written) => {
    const id = written.replace(/[.@+-]+$/, ""); // the end of a sentence
    found.add(id);
    return id;
  };
  readMarkdown(text, { mention });
  return [...found];
}
