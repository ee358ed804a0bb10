/** The shortcuts of the keyboard: each room adds its own, and the help lists them. */

import { element, openDialog } from "../dom.js";
import { Registry } from "../registry.js";
import { words } from "../words.js";

/**
 * @typedef {object} ShortcutSection
 * @property {string} key
 * @property {number} order
 * @property {() => string} title
 * @property {readonly { keys: string, label: () => string }[]} keys names of keys as events have them, joined by "+"; several ways by " / "
 */

/** @type {Registry<ShortcutSection>} */
const SECTIONS = new Registry();

export const IS_MAC = /Mac|iPhone|iPad/.test(globalThis.navigator?.platform ?? "");

/** @type {Record<string, string>} */
const SIGNS = { ArrowUp: "↑", ArrowDown: "↓", ArrowLeft: "←", ArrowRight: "→", ...(IS_MAC && { Ctrl: "⌘", Alt: "⌥", Shift: "⇧" }) };

/** Add a section to the help. @param {ShortcutSection} section */
export function addShortcuts(section) {
  SECTIONS.add(section);
}

/** Return the name of a key, as a keyboard of this reader has it. @param {string} key */
export function keyName(key) {
  return SIGNS[key] ?? words.sidebar.keys[/** @type {keyof typeof words.sidebar.keys} */ (key)] ?? key;
}

/** Return keys in one text, such as for the end of a menu's line. @param {string} keys */
export function keysText(keys) {
  return keys.split("+").map(keyName).join(IS_MAC ? "" : "+");
}

/** Open the help. */
export function openShortcuts() {
  const sections = SECTIONS.all.map(({ title, keys }) =>
    element(
      "section",
      {},
      element("h3", {}, title()),
      element("dl", {}, ...keys.map(({ keys: pressed, label }) => element("div", {}, element("dt", {}, ...drawKeys(pressed)), element("dd", {}, label())))),
    ),
  );
  openDialog(words.sidebar.shortcuts, element("div", { class: "shortcuts", tabindex: "0", role: "group", "aria-label": words.sidebar.shortcuts }, ...sections));
}

/** @param {string} keys */
function drawKeys(keys) {
  const drawn = keys.split(" / ").map((way) => (way === "+" ? [way] : way.split("+")).flatMap((key, at) => [at > 0 && "+", element("kbd", {}, keyName(key))]));
  return drawn.flatMap((way, at) => [at > 0 && ` ${words.sidebar.or} `, ...way]);
}

addShortcuts({
  key: "page",
  order: 10,
  title: () => words.sidebar.everywhere,
  keys: [
    { keys: "Ctrl+K", label: () => words.sidebar.switch },
    { keys: "Ctrl+/ / ?", label: () => words.sidebar.shortcuts },
    { keys: "Alt+ArrowUp / Alt+ArrowDown", label: () => words.sidebar.nextConversation },
    { keys: "Alt+Shift+ArrowUp / Alt+Shift+ArrowDown", label: () => words.sidebar.nextUnread },
    { keys: "Escape", label: () => words.sidebar.closes },
  ],
});
