/** The clipboard. */

import { element } from "./dom.js";

/**
 * Copy a text. Pages without TLS have no `navigator.clipboard`: they copy a selection, as browsers always could.
 *
 * @param {string} text
 * @returns {Promise<boolean>} whether it is copied
 */
export async function copyText(text) {
  try {
    if (navigator.clipboard) return await navigator.clipboard.writeText(text).then(() => true);
  } catch {
    // not allowed there: the other way may be
  }
  const before = document.activeElement;
  const field = element("textarea", { class: "hidden", readonly: true, "aria-hidden": "true", tabindex: -1 });
  field.value = text;
  (document.querySelector("dialog[open]") ?? document.body).append(field); // outside of a dialog nothing takes the focus
  field.select();
  const copied = document.execCommand("copy");
  field.remove();
  if (before instanceof HTMLElement) before.focus({ preventScroll: true });
  return copied;
}
