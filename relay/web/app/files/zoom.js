/** Zooming into a picture by wheel, double click, double tap and pinch; moving it; and swipes over one that is whole. */

const MOST = 8;
const STEP = 2.5;
const TAP_MILLISECONDS = 300;
const TAP_PIXELS = 12;
const DISMISS_PIXELS = 120;

/** @typedef {{ x: number, y: number }} Point */

export class Zoom {
  #scale = 1;
  #x = 0;
  #y = 0;
  /** The fingers that are down, or the mouse. @type {Map<number, Point>} */
  #down = new Map();
  /** @type {Point | null} */
  #began = null;
  #tapped = 0;
  /** When a finger was lifted: some browsers make a double click of a double tap as well. */
  #touched = -Infinity;

  /**
   * @param {HTMLElement} stage its first child is what is zoomed
   * @param {{ swiped: (across: number) => void, dismissed: () => void }} events swiped: by so many pixels; dismissed: pulled down
   */
  constructor(stage, events) {
    this.stage = stage;
    this.events = events;
    stage.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    stage.addEventListener("dblclick", (event) => this.#picture && event.timeStamp - this.#touched > TAP_MILLISECONDS && this.toggle(event));
    stage.addEventListener("pointerdown", (event) => this.#press(event));
    stage.addEventListener("pointermove", (event) => this.#move(event));
    for (const end of ["pointerup", "pointercancel"]) stage.addEventListener(end, (event) => this.#lift(/** @type {PointerEvent} */ (event)));
  }

  get #picture() {
    return this.stage.querySelector("img");
  }

  reset() {
    [this.#scale, this.#x, this.#y] = [1, 0, 0];
    this.#apply();
  }

  /** Zoom in, or back to the whole. @param {{ clientX: number, clientY: number }} [at] what stays where it is */
  toggle(at) {
    if (this.#scale > 1) this.reset();
    else this.by(STEP, at);
  }

  /**
   * @param {number} factor
   * @param {{ clientX: number, clientY: number }} [at]
   */
  by(factor, at) {
    const box = this.stage.getBoundingClientRect();
    const [middleX, middleY] = [box.x + box.width / 2, box.y + box.height / 2];
    const next = Math.min(MOST, Math.max(1, this.#scale * factor));
    const [fromX, fromY] = [(at?.clientX ?? middleX) - middleX, (at?.clientY ?? middleY) - middleY];
    this.#x = fromX - ((fromX - this.#x) * next) / this.#scale;
    this.#y = fromY - ((fromY - this.#y) * next) / this.#scale;
    this.#scale = next;
    if (next === 1) this.#x = this.#y = 0;
    this.#apply();
  }

  #apply() {
    const picture = this.#picture;
    if (!picture) return;
    const box = this.stage.getBoundingClientRect();
    const roomX = Math.max(0, (picture.offsetWidth * this.#scale - box.width) / 2);
    const roomY = Math.max(0, (picture.offsetHeight * this.#scale - box.height) / 2);
    this.#x = Math.max(-roomX, Math.min(roomX, this.#x));
    this.#y = Math.max(-roomY, Math.min(roomY, this.#y));
    picture.style.transform = this.#scale === 1 ? "" : `translate(${this.#x}px, ${this.#y}px) scale(${this.#scale})`;
    this.stage.classList.toggle("zoomed", this.#scale > 1);
  }

  /** @param {WheelEvent} event */
  #wheel(event) {
    if (!this.#picture) return;
    event.preventDefault();
    this.by(Math.exp(-event.deltaY / 300), event);
  }

  /** @param {PointerEvent} event */
  #press(event) {
    if (!this.#picture || event.button > 0) return;
    this.stage.setPointerCapture(event.pointerId);
    this.#down.set(event.pointerId, { x: event.clientX, y: event.clientY });
    this.#began = this.#down.size === 1 ? { x: event.clientX, y: event.clientY } : null;
  }

  /** @param {PointerEvent} event */
  #move(event) {
    const before = this.#down.get(event.pointerId);
    if (!before) return;
    const now = { x: event.clientX, y: event.clientY };
    const other = [...this.#down].find(([id]) => id !== event.pointerId)?.[1];
    this.#down.set(event.pointerId, now);
    if (other) {
      const middle = { clientX: (now.x + other.x) / 2, clientY: (now.y + other.y) / 2 };
      this.by(distance(now, other) / Math.max(1, distance(before, other)), middle);
    } else if (this.#scale > 1) {
      this.#x += now.x - before.x;
      this.#y += now.y - before.y;
      this.#apply();
    }
  }

  /** @param {PointerEvent} event */
  #lift(event) {
    const began = this.#began;
    if (!this.#down.delete(event.pointerId) || !began || event.type === "pointercancel") return;
    this.#began = null;
    const [across, down] = [event.clientX - began.x, event.clientY - began.y];
    if (event.pointerType !== "touch") return; // a mouse has buttons, and its own double click
    this.#touched = event.timeStamp;
    if (Math.hypot(across, down) < TAP_PIXELS) this.#tap(event);
    else if (this.#scale > 1) return;
    else if (down > DISMISS_PIXELS && down > Math.abs(across)) this.events.dismissed();
    else if (Math.abs(across) > Math.abs(down)) this.events.swiped(across);
  }

  /** @param {PointerEvent} event */
  #tap(event) {
    const twice = event.timeStamp - this.#tapped < TAP_MILLISECONDS;
    this.#tapped = twice ? 0 : event.timeStamp;
    if (twice) this.toggle(event);
  }
}

/** @param {Point} one @param {Point} other */
function distance(one, other) {
  return Math.hypot(one.x - other.x, one.y - other.y);
}
