/** The page's texts: all of them stand in words/, and a bundled plugin's in its own texts.js, in every language. */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

import ts from "typescript";

import { LANGUAGES, textsOf } from "../../../relay/web/app/words.js";
import admin from "../../../relay/web/app/words/admin-en.js";
import en from "../../../relay/web/app/words/en.js";

const APP = new URL("../../../relay/web/app/", import.meta.url);
const PLUGINS = new URL("../../../plugins/", import.meta.url);

/** Files that are data: names in a language's own file. */
const DATA = /^(words|emoji)\//;
/** Names, which are the same in every language, and texts that nobody reads though they look like it, by file. @type {Record<string, string[]>} */
const EXCEPT = {
  "words.js": ["English", "Français"],
  "settings/devices.js": ["Edge", "Opera", "Samsung Internet", "Firefox", "Chrome", "Safari", "Android", "Windows", "ChromeOS", "Linux"],
  "settings/commands.js": ["Ctrl+,"],
  "sidebar/sidebar.js": ["relay"],
  "composer/composer.js": ["edit #", "reply # # #"], // what is compared
  "notifications/focus.js": ["relay-focus # "], // a key in the browser's storage
  "plugins/plugin-guard.js": ["it raised what cannot be read"], // for the plugin's author
  "sidebar/line.js": ["badge quiet-badge"], // classes
  "admin/overview.js": ["worth a look"], // a state, as the server names it
  "admin/plugins.js": ["set aside", "left out"], // states
  "admin/jobs.js": ["set aside", "plugin off", "no schedule"], // states
  "admin/user-access.js": ["notify metrics"], // scopes
};
/** Calls whose texts people do not read: authors of plugins, the console and the browser do. */
const UNREAD_CALLS = /^(console\.\w+|tell|guarded|failed|wrong\.push|.*Error|DOMException)$|(^|\.)(matchMedia|supports|closest|matches|querySelector(All)?|includes|startsWith)$/;
/** Attributes, and fields of the page's own, that hold no text for people. */
const UNREAD_FIELDS = /^(class|className|rel|sizes|keys|letter|rootMargin|transform|Authorization|Content-Type|aria-(controls|describedby|labelledby|owns))$/;
/** Names of keys of the keyboard and of headers, and selectors: what no text of the page looks like. */
const NO_TEXT = /\[[\w-]+(=.*)?\]|^(Arrow(Up|Down|Left|Right)|Page(Up|Down)|Home|End|Tab|Enter|Escape|Delete|ContextMenu|Relay-Page)$/;
const READ_ATTRIBUTES = new Set(["aria-label", "aria-description", "aria-valuetext", "aria-roledescription", "title", "placeholder", "alt", "label", "textContent"]);

/** @param {URL} root @param {RegExp} skipped */
function modulesIn(root, skipped) {
  const names = /** @type {string[]} */ (readdirSync(root, { recursive: true })).map((name) => name.replaceAll("\\", "/"));
  return names.filter((name) => name.endsWith(".js") && !skipped.test(name)).sort();
}

/** Return a literal's text, with `#` for what is filled in; null for other nodes. @param {ts.Node} node */
function textOf(node) {
  if (ts.isStringLiteral(node) || ts.isNoSubstitutionTemplateLiteral(node)) return node.text;
  if (ts.isTemplateExpression(node)) return [node.head.text, ...node.templateSpans.map(({ literal }) => literal.text)].join("#");
  return null;
}

/** Tell whether a literal stands where people read it, whatever it says. @param {ts.Node} node */
function isShown(node) {
  const { parent } = node;
  if (ts.isPropertyAssignment(parent)) return node === parent.initializer && READ_ATTRIBUTES.has(/** @type {ts.Identifier} */ (parent.name).text);
  if (ts.isBinaryExpression(parent) && parent.operatorToken.kind === ts.SyntaxKind.EqualsToken)
    return ts.isPropertyAccessExpression(parent.left) && READ_ATTRIBUTES.has(parent.left.name.text);
  if (!ts.isCallExpression(parent)) return false;
  const called = parent.expression.getText();
  const place = parent.arguments.indexOf(/** @type {ts.Expression} */ (node));
  if (called.endsWith(".setAttribute")) return place === 1 && READ_ATTRIBUTES.has(textOf(parent.arguments[0]) ?? "");
  if (called === "element") return place > 1;
  if (called === "button" || called === "field" || called === "openDialog") return place === 0;
  return /(^|\.)(ask|alert|confirm|append|fill|createTextNode|setCustomValidity)$/.test(called);
}

/** Tell whether a text has the look of a sentence, or of a label. @param {string} text */
function looksRead(text) {
  return /\p{L}{2,},? (\p{L}|#)|(\p{L}|#),? \p{L}{2,}/u.test(text) || /^\p{Lu}\p{Ll}/u.test(text);
}

/** Tell whether something around a literal says that nobody reads it. @param {ts.Node} node */
function isUnread(node) {
  for (let at = node.parent; at && !ts.isFunctionLike(at) && !ts.isStatement(at); at = at.parent) {
    if ((ts.isCallExpression(at) || ts.isNewExpression(at)) && UNREAD_CALLS.test(at.expression.getText())) return true;
    if (ts.isPropertyAssignment(at) && UNREAD_FIELDS.test(/** @type {ts.Identifier} */ (at.name).text)) return true;
    if (ts.isBinaryExpression(at) && /^(===|!==|in)$/.test(at.operatorToken.getText())) return true;
    if (ts.isBinaryExpression(at) && ts.isPropertyAccessExpression(at.left) && UNREAD_FIELDS.test(at.left.name.text)) return true;
  }
  for (let at = node.parent; at; at = at.parent) if (ts.isThrowStatement(at) || ts.isImportDeclaration(at)) return true;
  return false;
}

/** Return the literals of a file that people read. @param {URL} root @param {string} name @param {string} [written] the file's text */
function readLiterals(root, name, written = readFileSync(new URL(name, root), "utf8")) {
  const source = ts.createSourceFile(name, written, ts.ScriptTarget.Latest, true);
  /** @type {string[]} */
  const found = [];
  /** @param {ts.Node} node */
  const visit = (node) => {
    const text = textOf(node);
    const isText = text !== null && /\p{L}{2}/u.test(text) && !NO_TEXT.test(text);
    if (isText && (isShown(node) || (looksRead(text) && !isUnread(node))) && !EXCEPT[name]?.includes(text)) {
      const { line } = source.getLineAndCharacterOfPosition(node.getStart());
      found.push(`${name}:${line + 1}: ${JSON.stringify(text)}`);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

/**
 * Return texts with what matters of each left: its name, and how many things it is given.
 *
 * @param {any} texts
 * @returns {any}
 */
function shapeOf(texts) {
  if (typeof texts === "function") return `a function of ${texts.length}`;
  if (Array.isArray(texts)) return texts.map(shapeOf);
  if (typeof texts !== "object") return typeof texts;
  return Object.fromEntries(Object.keys(texts).sort().map((name) => [name, shapeOf(texts[name])]));
}

test("every text that people read on the page stands in words/, none in its code", () => {
  const found = modulesIn(APP, DATA).flatMap((name) => readLiterals(APP, name));
  assert.deepEqual(found, []);
});

test("the search for texts finds what people would read, and nothing else", () => {
  const read = [
    'button("Save", save)', 'element("p", { class: "note" }, "gone")', 'element("p", { title: "close" })', 'node.textContent = `${n} left`',
    'node.setAttribute("aria-label", "shut")', 'const why = "It is not there."', 'ask(question, "yes")', 'notices.tell(`${who} left the group`)',
  ];
  const unread = [
    'element("p", { class: "note faint" })', 'throw new Error("It is not there.")', 'node.closest("ul li")', 'if (key === "Enter") go()', 'import "./a b.js"',
    'node.setAttribute("aria-busy", "true")', 'console.error("It is not there.")', 'button(words.common.save, save)',
  ];
  const found = (/** @type {string} */ line) => readLiterals(APP, "a.js", line).length;
  assert.deepEqual(read.filter((line) => found(line) === 0), []);
  assert.deepEqual(unread.filter((line) => found(line) > 0), []);
});

test("every text of a bundled plugin's page module stands in its texts.js", () => {
  const found = modulesIn(PLUGINS, /^(?!\w+\/page\/)|\/texts\.js$/).flatMap((name) => readLiterals(PLUGINS, name));
  assert.deepEqual(found, []);
});

/** Return what a plugin's texts.js has by language, as `textsOf` gets it. @param {string} name */
async function languagesIn(name) {
  const source = readFileSync(new URL(name, PLUGINS), "utf8").replace(/^import .*$/m, "const textsOf = (languages) => languages;");
  return (await import(`data:text/javascript,${encodeURIComponent(source)}`)).texts;
}

for (const name of modulesIn(PLUGINS, /^(?!\w+\/page\/texts\.js)/)) {
  test(`${name} has every text in every language, with the same things in it`, async () => {
    const languages = await languagesIn(name);
    assert.deepEqual(Object.keys(languages).sort(), Object.keys(LANGUAGES).sort());
    for (const texts of Object.values(languages)) assert.deepEqual(shapeOf(texts), shapeOf(languages.en));
  });
}

test("a page module of a bundled plugin has a texts.js", () => {
  const folders = new Set(modulesIn(PLUGINS, /^(?!\w+\/page\/)/).map((name) => name.split("/")[0]));
  assert.deepEqual([...folders].filter((folder) => !modulesIn(PLUGINS, /x^/).includes(`${folder}/page/texts.js`)), []);
});

test("the page has every text in every language, with the same things in it", async () => {
  for (const one of Object.keys(LANGUAGES)) {
    const { default: words } = await import(new URL(`words/${one}.js`, APP).href);
    assert.deepEqual(shapeOf(words), shapeOf(en), one);
    const { default: administration } = await import(new URL(`words/admin-${one}.js`, APP).href);
    assert.deepEqual(shapeOf(administration), shapeOf(admin), one);
  }
});

test("the administration has a word for every act of the server's own", () => {
  const source = readFileSync(new URL("../../../relay/services/acts.py", import.meta.url), "utf8");
  const acts = [...source.matchAll(/^ {4}\w+ = "([a-z_.]+)"/gm)].map(([, name]) => name).sort();
  assert.ok(acts.length > 30);
  assert.deepEqual(Object.keys(admin.audit.acts).sort(), acts);
});

test("a plugin's text that the page's language lacks is English, and without English it says what is wrong", async (t) => {
  const before = Object.getOwnPropertyDescriptor(globalThis, "navigator");
  t.after(() => before && Object.defineProperty(globalThis, "navigator", before));
  Object.defineProperty(globalThis, "navigator", { value: { languages: ["fr-CH", "en"] }, configurable: true });
  const french = await import(new URL("words.js?fr", APP).href);
  assert.deepEqual(french.textsOf({ en: { yes: "Yes", no: "No" }, fr: { no: "Non" } }), { yes: "Yes", no: "Non" });
  assert.deepEqual(textsOf({ en: { yes: "Yes" }, xx: { yes: "Xx" } }), { yes: "Yes" });
  assert.throws(() => textsOf(/** @type {any} */ ({ fr: { yes: "Oui" } })), /no texts in English, `en`/);
});
