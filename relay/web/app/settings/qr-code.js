/** A QR code, drawn from its modules. */

const SVG = "http://www.w3.org/2000/svg";
/** The light margin around the code that readers need, in modules. */
const MARGIN = 4;

/**
 * Draw a QR code: dark on light also where the page is dark, as readers expect it.
 *
 * @param {string[]} rows of modules, 1 for dark
 * @param {string} label
 */
export function qrCode(rows, label) {
  const side = rows.length + 2 * MARGIN;
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("viewBox", `0 0 ${side} ${side}`);
  drawing.setAttribute("role", "img");
  drawing.setAttribute("aria-label", label);
  drawing.setAttribute("shape-rendering", "crispEdges");
  const ground = document.createElementNS(SVG, "rect");
  for (const [name, value] of Object.entries({ width: side, height: side, fill: "#fff" })) ground.setAttribute(name, String(value));
  const dark = document.createElementNS(SVG, "path");
  dark.setAttribute("d", pathOf(rows));
  dark.setAttribute("fill", "#000");
  drawing.append(ground, dark);
  return drawing;
}

/**
 * Return the dark modules as a path: one rectangle for each run in a row.
 *
 * @param {string[]} rows
 */
export function pathOf(rows) {
  const runs = rows.flatMap((row, y) =>
    [...row.matchAll(/1+/g)].map(({ index, 0: run }) => `M${index + MARGIN} ${y + MARGIN}h${run.length}v1h-${run.length}z`),
  );
  return runs.join("");
}
