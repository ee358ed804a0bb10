/** The texts of messages, drawn: their Markdown, their links, and those whom they mention. */

import { button, element, icon } from "../dom.js";
import { copyText } from "../clipboard.js";
import { direction, isolate, upright } from "../format.js";
import { words } from "../words.js";
import { readMarkdown, textOf } from "./markdown.js";

/** @import { MessageView } from "../../sdk/index.js" */
/** @import { Names } from "../names.js" */
/** @import { ConversationPane } from "./conversation.js" */
/** @import { Block } from "./markdown.js" */
/** @import { Inline } from "./markdown-inline.js" */

/** Calls everybody in a group, in `mentions` and in a text. */
const ALL = { id: "*", written: "all" };
/** So many emoji alone are drawn large. */
const MAX_LARGE = 3;
/** A line of a list needs no more to be read. */
const MAX_GIST = 600;
const EMOJI_ONLY = new RegExp(String.raw`^\s*(?:\p{RGI_Emoji}\s*){1,${MAX_LARGE}}$`, "v");

/** @typedef {{ me: string, nameOf: (id: string) => string, open: (id: string) => void, copied: (done: boolean) => void }} Drawing */

/**
 * Draw the text of a message.
 *
 * @param {MessageView} message
 * @param {ConversationPane} pane
 */
export function drawWritten({ payload }, { messenger, names }) {
  const text = upright(payload.content);
  if (EMOJI_ONLY.test(text)) return element("div", { class: "content large" }, element("p", {}, text.trim()));
  /** @type {Drawing} */
  const drawing = {
    me: messenger.session.userId,
    nameOf: (id) => names.of(id),
    open: (id) => messenger.openPerson(id),
    copied: (done) => messenger.notices.say(done ? words.message.copied : words.message.notCopied),
  };
  const blocks = readMarkdown(text, { mention: mentionReader(payload.mentions) });
  return element("div", { class: "content" }, ...blocks.map((block) => drawBlock(block, drawing)));
}

/**
 * Return the text of a message in one line.
 *
 * @param {Readonly<Record<string, any>>} payload
 * @param {Names} names
 */
export function writtenText({ content, mentions }, names) {
  const text = upright(String(content ?? "")).slice(0, MAX_GIST);
  return textOf(text, (id) => (id === ALL.id ? ALL.written : isolate(names.of(id))), { mention: mentionReader(mentions) });
}

/**
 * Return what tells with whose id a text goes on: of those only whom the message mentions, the longest id.
 *
 * @param {unknown} mentions
 */
function mentionReader(mentions) {
  const ids = new Set(Array.isArray(mentions) ? mentions : []);
  if (ids.size === 0) return undefined;
  return (/** @type {string} */ written) => {
    for (let end = written.length; end > 0; end -= 1) {
      if (/\w/.test(written[end] ?? "")) continue;
      const id = written.slice(0, end);
      if (ids.has(id)) return id;
      if (id === ALL.written && ids.has(ALL.id)) return id;
    }
    return null;
  };
}

/** @param {Block} block @param {Drawing} drawing @returns {HTMLElement} */
function drawBlock(block, drawing) {
  switch (block.type) {
    case "paragraph":
      return element("p", { dir: "auto" }, ...block.children.map((one) => drawInline(one, drawing)));
    case "code":
      return drawCode(block, drawing);
    case "quote":
      return element("blockquote", { dir: "auto" }, ...block.children.map((one) => drawBlock(one, drawing)));
    case "list": {
      const items = block.items.map(({ value, children }) =>
        element("li", { value: block.ordered ? value : null }, ...children.map((one) => drawBlock(one, drawing))),
      );
      return element(block.ordered ? "ol" : "ul", { dir: "auto" }, ...items);
    }
  }
}

/** @param {{ language: string, text: string }} code @param {Drawing} drawing */
function drawCode({ language, text }, { copied }) {
  const press = () => void copyText(text).then(copied);
  const copy = button(words.message.codeCopy, press, { sign: icon("copy"), class: "quiet" });
  const lines = element("pre", { dir: "ltr", tabindex: 0, role: "region", "aria-label": language || words.message.code }, element("code", {}, text));
  return element("div", { class: "code-block" }, element("header", {}, element("span", {}, language), copy), lines);
}

/** @param {Inline} one @param {Drawing} drawing @returns {Node | string} */
function drawInline(one, drawing) {
  switch (one.type) {
    case "text":
      return one.text;
    case "code":
      return element("code", { dir: "auto" }, one.text);
    case "link":
      return element("a", { href: one.href, title: one.href, target: "_blank", rel: "noopener noreferrer" }, ...one.children.map((child) => drawInline(child, drawing)));
    case "mention":
      return drawMention(one.id, drawing);
    case "strike":
      return element("s", {}, ...one.children.map((child) => drawInline(child, drawing)));
    default:
      return element(one.type, {}, ...one.children.map((child) => drawInline(child, drawing)));
  }
}

/** @param {string} id @param {Drawing} drawing */
function drawMention(id, { me, nameOf, open }) {
  if (id === ALL.written) return element("span", { class: "mention own" }, `@${words.message.everybody}`);
  const name = nameOf(id);
  const shown = element("bdi", {}, `@${name}`);
  if (id === me) return element("span", { class: "mention own" }, shown);
  return element("button", { type: "button", class: "mention", title: words.message.openPerson(isolate(name)), onclick: () => open(id) }, shown);
}

/** Tell whether what stands at the end of a bubble fits beside the end of a text: it is a paragraph in the page's direction. @param {Element} content */
export function endsOpen(content) {
  const last = content.lastElementChild;
  return !content.matches(".large") && last !== null && last.matches("p") && direction(last.textContent ?? "") === "ltr";
}
