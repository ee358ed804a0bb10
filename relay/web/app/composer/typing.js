/** Changes of a text field as a keyboard makes them: the browser's undo takes them back, and `input` tells of them. */

/** @typedef {{ from: number, to: number }} Range */

/**
 * Replace a part of a text field; the caret stands behind it then.
 *
 * @param {HTMLTextAreaElement} field
 * @param {Range} range
 * @param {string} text
 */
export function replace(field, { from, to }, text) {
  field.focus();
  field.setSelectionRange(from, to);
  insert(field, text);
}

/**
 * Insert a text at the caret, in place of what is selected.
 *
 * @param {HTMLTextAreaElement} field
 * @param {string} text
 */
export function insert(field, text) {
  field.focus();
  // The one way that keeps undo. Where a browser does not know it for fields, the text is set.
  const done = text ? document.execCommand("insertText", false, text) : document.execCommand("delete");
  if (done) return;
  field.setRangeText(text, field.selectionStart, field.selectionEnd, "end");
  field.dispatchEvent(new Event("input", { bubbles: true }));
}

/** The marks of Markdown by the key that sets them, with Ctrl or ⌘. @type {Readonly<Record<string, string>>} */
export const MARKS = Object.freeze({ b: "**", i: "*", e: "`" });

/**
 * Put marks around what is selected, or take them off where they are there.
 *
 * @param {string} text
 * @param {Range} selected
 * @param {string} mark
 * @returns {{ range: Range, text: string, selected: Range }} what to replace, with what, and what is selected then
 */
export function wrapped(text, { from, to }, mark) {
  const inside = text.slice(from, to);
  const size = mark.length;
  const [before, after] = [new RegExp(`\\${mark[0]}+$`), new RegExp(`^\\${mark[0]}+`)];
  const isMarked = holds(text.slice(0, from).match(before), mark) && holds(text.slice(to).match(after), mark);
  if (isMarked) return { range: { from: from - size, to: to + size }, text: inside, selected: { from: from - size, to: to - size } };
  const [lead, rest] = [inside.length - inside.trimStart().length, inside.length - inside.trimEnd().length];
  const whole = lead === inside.length ? { from: to, to } : { from: from + lead, to: to - rest }; // marks stand at words
  const marked = `${mark}${text.slice(whole.from, whole.to)}${mark}`;
  return { range: whole, text: marked, selected: { from: whole.from + size, to: whole.to + size } };
}

/** Tell whether so many signs in a row hold a mark: three are a bold and an italic one. @param {RegExpMatchArray | null} signs @param {string} mark */
function holds(signs, mark) {
  const count = signs?.[0].length ?? 0;
  return count === mark.length || count > 2;
}

/** Whether a field is as high as its text by itself. */
const GROWS = globalThis.CSS?.supports("field-sizing: content");

/** Make a field as high as its text; the style sheet says what is too high. @param {HTMLTextAreaElement} field */
export function grow(field) {
  if (GROWS) return;
  field.style.height = "auto";
  field.style.height = `${field.scrollHeight}px`;
}
