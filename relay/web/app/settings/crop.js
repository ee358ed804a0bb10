/** A square out of a picture: chosen by dragging, by the arrow keys and by a zoom; made on this device. */

import { button, element, openDialog } from "../dom.js";
import { words } from "../words.js";

/** What the server takes as a picture, and browsers can read. */
export const PICTURES = "image/png,image/jpeg,image/webp,image/gif,image/avif";

/** The side of the result in pixels: twice the largest avatar that is drawn. */
const SIDE = 384;
const STEP = 12;
const texts = words.settings.profile;

/**
 * Ask for the part of a picture to be shown; null if nothing was chosen.
 *
 * @param {File} file
 * @returns {Promise<File | null>}
 * @throws {Error} The browser cannot read the file as a picture.
 */
export async function crop(file) {
  const picture = await createImageBitmap(file, { imageOrientation: "from-image" });
  const canvas = element("canvas", { width: SIDE, height: SIDE, tabindex: "0", role: "img", "aria-label": texts.cropHint });
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const zoom = element("input", { type: "range", min: 1, max: 4, step: 0.01, value: 1, "aria-label": texts.zoom, oninput: () => paint() });
  let [x, y] = [0, 0]; // of the picture's middle from the square's, in pixels of the canvas

  function paint() {
    const scale = (SIDE / Math.min(picture.width, picture.height)) * Number(zoom.value);
    const [width, height] = [picture.width * scale, picture.height * scale];
    x = Math.max(-(width - SIDE) / 2, Math.min((width - SIDE) / 2, x));
    y = Math.max(-(height - SIDE) / 2, Math.min((height - SIDE) / 2, y));
    pen.clearRect(0, 0, SIDE, SIDE);
    pen.imageSmoothingQuality = "high";
    pen.drawImage(picture, (SIDE - width) / 2 + x, (SIDE - height) / 2 + y, width, height);
  }

  canvas.addEventListener("pointerdown", (event) => canvas.setPointerCapture(event.pointerId));
  canvas.addEventListener("pointermove", (event) => {
    if (!canvas.hasPointerCapture(event.pointerId)) return;
    const ratio = SIDE / canvas.clientWidth;
    [x, y] = [x + event.movementX * ratio, y + event.movementY * ratio];
    paint();
  });
  canvas.addEventListener("keydown", (event) => {
    const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] ?? [0, 0];
    if (dx === 0 && dy === 0) return;
    event.preventDefault();
    [x, y] = [x + dx * STEP, y + dy * STEP];
    paint();
  });
  paint();
  return new Promise((resolve) => {
    /** @type {File | null} */
    let made = null;
    const use = async () => ((made = await taken(canvas)), dialog.close());
    const choice = element(
      "p",
      { class: "choice" },
      button(words.common.cancel, () => dialog.close()),
      button(texts.use, () => void use(), { class: "primary" }),
    );
    const body = element("div", { class: "crop" }, canvas, element("small", { class: "note" }, texts.cropHint), element("label", {}, element("span", {}, texts.zoom), zoom), choice);
    const dialog = openDialog(texts.crop, body);
    dialog.addEventListener("close", () => (picture.close(), resolve(made)));
  });
}

/** @param {HTMLCanvasElement} canvas @returns {Promise<File | null>} */
async function taken(canvas) {
  // A browser that cannot write WebP gives a PNG.
  const blob = await new Promise((/** @type {(blob: Blob | null) => void} */ resolve) => canvas.toBlob(resolve, "image/webp", 0.9));
  return blob && new File([blob], blob.type === "image/webp" ? "picture.webp" : "picture.png", { type: blob.type });
}
