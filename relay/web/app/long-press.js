/** Long presses with a finger. */

const LONG_MS = 450;
const SLIP_PIXELS = 10;

/** Whether the finger that pressed long is still to be lifted, which is no click. */
let lifting = false;
let watching = false;

/**
 * Call back when a finger rests on something.
 *
 * @param {Document | HTMLElement} root
 * @param {(target: Element) => boolean} act returns whether the press is taken: then it is no click, and no other root hears of it
 */
export function onLongPress(root, act) {
  watch();
  /** @type {{ timer: ReturnType<typeof setTimeout>, x: number, y: number } | null} */
  let held = null;
  const cancel = () => {
    clearTimeout(held?.timer);
    held = null;
  };
  const take = (/** @type {Element} */ target) => {
    cancel();
    lifting = act(target);
  };
  root.addEventListener("pointerdown", (/** @type {any} */ event) => {
    cancel();
    if (event.pointerType !== "touch" || event.longPress || !(event.target instanceof Element)) return;
    event.longPress = true; // an inner root has it
    const { target, clientX: x, clientY: y } = event;
    held = { x, y, timer: setTimeout(() => take(target), LONG_MS) };
  });
  root.addEventListener("pointermove", (/** @type {any} */ { clientX, clientY }) => {
    if (held && Math.hypot(clientX - held.x, clientY - held.y) > SLIP_PIXELS) cancel();
  }, { passive: true });
  for (const end of ["pointerup", "pointercancel"]) root.addEventListener(end, cancel);
  // Browsers that open a menu of theirs for it say so.
  root.addEventListener("contextmenu", (/** @type {any} */ event) => {
    if (event.pointerType !== "touch" || !(event.target instanceof Element)) return;
    if (lifting) event.preventDefault();
    else if (held) {
      take(event.target);
      if (lifting) event.preventDefault();
    }
  });
}

function watch() {
  if (watching) return;
  watching = true;
  document.addEventListener("pointerdown", () => (lifting = false), { capture: true });
  document.addEventListener("click", (event) => {
    if (!lifting) return;
    lifting = false;
    event.preventDefault();
    event.stopImmediatePropagation();
  }, { capture: true });
}
