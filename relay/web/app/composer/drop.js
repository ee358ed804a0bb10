/** Files that are dropped: anywhere in the open conversation, and nowhere else. */

import { words } from "../words.js";

/** While something is over the page, browsers say so several times a second; not all say when it is gone. */
const GONE_MS = 1000;

/** @param {DragEvent} event */
function hasFiles(event) {
  return event.dataTransfer?.types.includes("Files") ?? false;
}

/** Refuse files that are dropped where nothing takes them: a browser would leave the page for them. */
export function refuseDrops() {
  const refuse = (/** @type {DragEvent} */ event) => {
    if (!hasFiles(event) || /** @type {Element} */ (event.target).closest?.("input[type=file]")) return;
    event.preventDefault();
    if (event.dataTransfer) event.dataTransfer.dropEffect = "none";
  };
  addEventListener("dragover", refuse);
  addEventListener("drop", refuse);
}

/**
 * Take files that are dropped onto the page, until the returned function is called. Outside of the place they are refused.
 *
 * @param {() => Element | null} place what takes them; it is highlighted while they are over it
 * @param {(files: File[]) => void} take
 */
export function takeDrops(place, take) {
  /** @type {Element | null} */
  let marked = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let gone;
  const mark = (/** @type {Element | null} */ next) => {
    clearTimeout(gone);
    if (next) gone = setTimeout(() => mark(null), GONE_MS);
    if (next === marked) return;
    marked?.removeAttribute("data-drop");
    next?.setAttribute("data-drop", words.composer.dropHere);
    marked = next;
  };
  const over = (/** @type {DragEvent} */ event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    const target = place();
    // Of two places, one in the other, the inner one takes them.
    const inside = target !== null && /** @type {Element} */ (event.target).closest(".thread, .conversation") === target;
    if (event.dataTransfer) event.dataTransfer.dropEffect = inside ? "copy" : "none";
    mark(inside ? target : null);
  };
  const leave = (/** @type {DragEvent} */ event) => event.relatedTarget === null && mark(null);
  const drop = (/** @type {DragEvent} */ event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    const inside = marked !== null;
    mark(null);
    if (inside) take([...(event.dataTransfer?.files ?? [])]);
  };
  addEventListener("dragover", over);
  addEventListener("dragleave", leave);
  addEventListener("drop", drop);
  return () => {
    mark(null);
    removeEventListener("dragover", over);
    removeEventListener("dragleave", leave);
    removeEventListener("drop", drop);
  };
}
