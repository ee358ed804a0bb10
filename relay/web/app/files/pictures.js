/** Pictures and videos in messages: tiles whose room is kept before anything is loaded. */

import { element, fill, icon } from "../dom.js";
import { size } from "../format.js";
import { locale, words } from "../words.js";
import { whenNear } from "./blobs.js";
import { kindOf, labelOf, nameOf, PREVIEW_BYTES } from "./kinds.js";

/** @import { FileView } from "../../sdk/index.js" */
/** @import { Blobs } from "./blobs.js" */

/** @typedef {{ width: number, height: number }} Box in CSS pixels */

const PERCENT = new Intl.NumberFormat(locale, { style: "percent" });
const WIDEST = 360;
const HIGHEST = 320;
const LEAST = 72;
const UNKNOWN = Object.freeze({ width: 240, height: 180 });
const FILM = Object.freeze({ width: 320, height: 180 });

/** Sizes that were not described, by file, since the picture was loaded. @type {WeakMap<object, Box>} */
const seen = new WeakMap();
/** @type {Map<string, Box>} */
const seenById = new Map();

/**
 * Draw pictures and videos: one in its own shape, several as a grid.
 *
 * @param {readonly FileView[]} files
 * @param {Blobs} blobs
 * @param {(file: FileView) => void} open
 */
export function drawPictures(files, blobs, open) {
  const many = files.length > 1;
  const columns = files.length === 2 || files.length === 4 ? 2 : Math.min(3, files.length);
  return element(
    "div",
    { class: many ? `pictures many columns-${columns}` : "pictures" },
    ...files.map((file) => drawTile(file, blobs, open, many)),
  );
}

/**
 * @param {FileView} file
 * @param {Blobs} blobs
 * @param {(file: FileView) => void} open
 * @param {boolean} [square]
 */
export function drawTile(file, blobs, open, square = false) {
  const video = kindOf(file) === "video";
  const tile = element(
    "button",
    {
      type: "button", class: video ? "tile film" : "tile", "data-file": file.attachmentId, "aria-label": words.files.open(labelOf(file)),
      onclick: () => file.attachmentId && open(file),
    },
    video && icon("play"),
  );
  if (!square) shape(tile, video ? FILM : boxOf(file));
  if (video) tile.append(element("span", { class: "caption" }, element("bdi", {}, nameOf(file)), ` · ${size(file.size)}`));
  else drawInto(tile, file, blobs, square);
  if (file.progress !== null) tile.append(element("span", { class: "caption" }, percent(file.progress)));
  return tile;
}

/** @param {HTMLElement} tile @param {FileView} file @param {Blobs} blobs @param {boolean} square */
function drawInto(tile, file, blobs, square) {
  const known = blobs.known(file);
  const show = (/** @type {string} */ url) => tile.append(image(tile, url, file, square));
  const load = async () => {
    try {
      show(await blobs.url(file));
    } catch {
      lost(tile, load);
    }
  };
  if (known) show(known);
  else if (file.size <= PREVIEW_BYTES) whenNear(tile, load);
  else {
    tile.classList.add("waiting");
    tile.append(element("span", { class: "load" }, words.files.large(size(file.size))));
  }
}

/** @param {HTMLElement} tile @param {string} url @param {FileView} file @param {boolean} square */
function image(tile, url, file, square) {
  const loaded = (/** @type {Event} */ { target }) => {
    const { naturalWidth: width, naturalHeight: height } = /** @type {HTMLImageElement} */ (target);
    if (file.width !== null || width === 0) return;
    if (file.blob) seen.set(file.blob, { width, height });
    if (file.attachmentId) seenById.set(file.attachmentId, { width, height });
    if (!square) shape(tile, boxOf(file));
  };
  const broken = () => lost(tile, null);
  return element("img", { src: url, alt: "", decoding: "async", draggable: "false", onload: loaded, onerror: broken });
}

/** @param {HTMLElement} tile @param {(() => void) | null} again */
function lost(tile, again) {
  tile.querySelector("img")?.remove();
  tile.classList.add("lost");
  const text = element("span", { class: "load" }, again ? words.files.notLoaded : words.files.broken);
  fill(tile, text);
  if (!again) return;
  tile.addEventListener("click", (event) => {
    event.stopImmediatePropagation();
    tile.classList.remove("lost");
    fill(tile);
    again();
  }, { capture: true, once: true });
}

/** Return the room of a picture: its own shape within bounds. @param {FileView} file @returns {Box} */
function boxOf({ width, height, blob, attachmentId }) {
  const own = width && height ? { width, height } : ((blob && seen.get(blob)) ?? seenById.get(attachmentId ?? "") ?? UNKNOWN);
  const scale = Math.min(1, WIDEST / own.width, HIGHEST / own.height);
  return { width: Math.max(LEAST, own.width * scale), height: Math.max(LEAST, own.height * scale) };
}

/** @param {HTMLElement} tile @param {Box} box */
function shape(tile, { width, height }) {
  tile.style.inlineSize = `${width}px`;
  tile.style.aspectRatio = `${width} / ${height}`;
}

/** @param {number} part */
export function percent(part) {
  return PERCENT.format(part);
}
