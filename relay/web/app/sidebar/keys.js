/** The keys that work everywhere on the page. */

import { addShortcuts, openShortcuts } from "./shortcuts.js";
import { openSwitcher } from "./switcher.js";
import { words } from "../words.js";

/** @import { Messenger } from "../messenger.js" */

/**
 * Listen for the keys of the whole page.
 *
 * @param {Messenger} messenger
 * @returns {() => void} ends it
 */
export function listenForKeys(messenger) {
  const listen = (/** @type {KeyboardEvent} */ event) => {
    const command = event.ctrlKey !== event.metaKey && !event.altKey;
    if (event.defaultPrevented || event.isComposing) return;
    if (command && !event.shiftKey && event.key.toLowerCase() === "k") take(event, () => openSwitcher(messenger));
    else if (document.querySelector("dialog[open]")) return;
    else if ((command && event.key === "/") || (event.key === "?" && !command && !isField(event.target))) take(event, openShortcuts);
    else if (event.altKey && !event.ctrlKey && !event.metaKey && /^Arrow(Up|Down)$/.test(event.key)) {
      take(event, () => messenger.sidebar?.list.go(event.key === "ArrowUp" ? -1 : 1, event.shiftKey));
    }
  };
  addEventListener("keydown", listen);
  return () => removeEventListener("keydown", listen);
}

/** @param {KeyboardEvent} event @param {() => void} press */
function take(event, press) {
  event.preventDefault();
  press();
}

/** Tell whether somebody writes there. @param {EventTarget | null} target */
function isField(target) {
  return target instanceof Element && target.closest("input, textarea, select, [contenteditable]") !== null;
}

addShortcuts({
  key: "list",
  order: 15,
  title: () => words.sidebar.inList,
  keys: [
    { keys: "ArrowUp / ArrowDown / Home / End", label: () => words.sidebar.walkList },
    { keys: "Enter", label: () => words.sidebar.openLine },
    { keys: "ContextMenu / Shift+F10", label: () => words.sidebar.lineMenu },
  ],
});
