/** Pictures and videos of a conversation, one at a time and as large as the window. */

import { button, element, fill, icon } from "../dom.js";
import { isolate, size, wholeTime } from "../format.js";
import { words } from "../words.js";
import { kindOf, labelOf, nameOf, PREVIEW_BYTES } from "./kinds.js";
import { listFiles } from "./listing.js";
import { Zoom } from "./zoom.js";

/** @import { FileView } from "../../sdk/index.js" */
/** @import { ConversationPane } from "../conversation/conversation.js" */
/** @import { Files } from "./files.js" */

/** @typedef {{ file: FileView, senderId: string, timestamp: number, messageId: number }} Item */

/**
 * @typedef {object} Options
 * @property {readonly Item[]} [among] what to look through, oldest first; what the conversation has loaded, by default
 * @property {(item: Item) => void} [toMessage] goes to the message of one
 */

const OLDER = 30;
const SWIPE_PIXELS = 60;

/**
 * Open a file among the pictures and videos of its conversation; older ones are loaded as one comes to them.
 *
 * @param {Files} files
 * @param {ConversationPane} pane
 * @param {FileView} file
 * @param {Options} [options]
 */
export function openLightbox(files, pane, file, options = {}) {
  const items = options.among ?? itemsOf(pane);
  const at = items.findIndex((one) => one.file.attachmentId === file.attachmentId);
  const alone = { file, senderId: "", timestamp: 0, messageId: 0 };
  new Lightbox(files, pane, at < 0 ? [alone] : items, Math.max(0, at), options).show();
}

/** @param {ConversationPane} pane @returns {Item[]} */
function itemsOf(pane) {
  return pane.view.messages.flatMap(({ files, senderId, timestamp, messageId }) =>
    files.filter(isSeen).map((file) => ({ file, senderId, timestamp, messageId: messageId ?? 0 })),
  );
}

/** @param {FileView} file */
function isSeen(file) {
  return file.attachmentId !== null && ["picture", "video"].includes(kindOf(file));
}

class Lightbox {
  #at;
  /** Ends what is loaded for the file that is shown. */
  #stop = new AbortController();
  /** The address of a file that is too large to be kept. */
  #own = "";
  /** Where older files begin; null where there are none. @type {number | null} */
  #before;

  /**
   * @param {Files} files
   * @param {ConversationPane} pane
   * @param {readonly Item[]} items
   * @param {number} at
   * @param {Options} options
   */
  constructor(files, pane, items, at, { among, toMessage }) {
    this.files = files;
    this.pane = pane;
    this.items = items;
    this.#at = at;
    this.#before = among ? null : (items[0]?.messageId || null);
    const go = (/** @type {number} */ step) => () => this.#go(step);
    this.stage = element("div", { class: "stage" });
    this.zoom = new Zoom(this.stage, { swiped: (across) => this.#swiped(across), dismissed: () => this.dialog.close() });
    this.title = element("h2", { id: "lightbox-title", dir: "auto" });
    this.about = element("p", { class: "about", "aria-live": "polite" });
    this.told = element("span", { class: "about" });
    this.larger = button(words.files.zoom, () => this.zoom.toggle(), { sign: icon("zoom"), class: "quiet" });
    const tools = [
      this.told,
      this.larger,
      ...(toMessage ? [button(words.files.shownIn, () => (this.dialog.close(), toMessage(this.#item)), { sign: icon("reply"), class: "quiet" })] : []),
      button(words.files.save, () => void this.files.download(this.#item.file, this.told), { sign: icon("download"), class: "quiet" }),
      button(words.common.close, () => this.dialog.close(), { sign: icon("close"), class: "quiet" }),
    ];
    this.previous = button(words.files.previous, go(-1), { sign: icon("back"), class: "turn previous" });
    this.next = button(words.files.next, go(1), { sign: icon("back"), class: "turn next" });
    this.dialog = element(
      "dialog",
      { class: "lightbox", tabindex: -1, "aria-labelledby": "lightbox-title", onkeydown: (/** @type {KeyboardEvent} */ event) => this.#key(event) },
      element("header", {}, element("div", {}, this.title, this.about), element("div", { class: "tools" }, ...tools)),
      this.stage,
      this.previous,
      this.next,
    );
  }

  get #item() {
    return /** @type {Item} */ (this.items[this.#at]);
  }

  show() {
    this.files.player.pause();
    this.dialog.addEventListener("close", () => this.#closed());
    document.body.append(this.dialog);
    this.dialog.showModal();
    this.dialog.focus(); // its name is read, and no button has a ring
    this.#draw();
    if (this.#at === 0) void this.#older();
  }

  #closed() {
    const { attachmentId } = this.#item.file;
    this.#leave();
    this.dialog.remove();
    // The message may have been drawn anew, or another file is shown now than at first.
    /** @type {HTMLElement | null} */ (document.querySelector(`.tile[data-file="${CSS.escape(attachmentId ?? "")}"]`))?.focus();
  }

  /** @param {number} step */
  #go(step) {
    const next = this.#at + step;
    if (!this.items[next]) return;
    this.#leave();
    this.#at = next;
    this.#draw();
    if (next === 0) void this.#older();
  }

  /** Load what is older than the first one, before anybody asks for it. */
  async #older() {
    const before = this.#before;
    if (before === null) return;
    this.#before = null;
    try {
      const page = await listFiles(this.files.rest, this.pane.id, { before, limit: OLDER });
      const found = page.found.filter(({ file }) => isSeen(file)).sort((one, other) => one.messageId - other.messageId);
      this.#before = page.before;
      this.items = [...found, ...this.items];
      this.#at += found.length;
      this.#tell();
      if (found.length === 0 && this.dialog.open) await this.#older();
    } catch {
      this.#before = before; // without a network: it is tried again at the next step
    }
  }

  #leave() {
    this.#stop.abort();
    this.stage.querySelector("video")?.pause();
    if (this.#own) URL.revokeObjectURL(this.#own);
    this.#own = "";
  }

  #draw() {
    const { file } = this.#item;
    this.#tell();
    fill(this.told);
    this.larger.hidden = kindOf(file) !== "picture";
    this.zoom.reset();
    this.#stop = new AbortController();
    void this.#load(file, this.#stop.signal);
  }

  /** Tell which one is shown, and whether there are others before and after. */
  #tell() {
    const { file, senderId, timestamp } = this.#item;
    const sender = senderId && this.pane.names.of(senderId);
    fill(this.title, element("bdi", {}, nameOf(file)));
    fill(
      this.about,
      this.items.length > 1 && `${words.files.place(this.#at + 1, this.items.length)} · `,
      sender && element("bdi", {}, sender),
      timestamp > 0 && ` · ${wholeTime(timestamp)}`,
    );
    const focused = document.activeElement;
    this.previous.disabled = this.#at === 0;
    this.next.disabled = this.#at === this.items.length - 1;
    this.previous.hidden = this.next.hidden = this.items.length < 2;
    if (focused instanceof HTMLButtonElement && focused.disabled) this.dialog.focus();
  }

  /** @param {FileView} file @param {AbortSignal} signal */
  async #load(file, signal) {
    const known = this.files.blobs.known(file);
    const wait = element("p", { class: "load", role: "status" }, words.files.loading(labelOf(file)));
    if (!known) fill(this.stage, wait);
    try {
      const url = known ?? (file.size <= PREVIEW_BYTES ? await this.files.blobs.url(file) : await this.#fetch(file, wait, signal));
      if (!signal.aborted) this.#put(file, url);
    } catch {
      if (!signal.aborted) fill(wait, words.files.gone);
    }
  }

  /** Fetch a file that is too large to be kept. @param {FileView} file @param {HTMLElement} wait @param {AbortSignal} signal */
  async #fetch(file, wait, signal) {
    const bar = element("progress", { max: file.size, value: 0, "aria-label": words.files.downloading(isolate(nameOf(file))) });
    fill(wait, size(file.size), bar);
    const bytes = await this.files.blobs.bytes(file, { signal, onProgress: (loaded) => (bar.value = loaded) });
    signal.throwIfAborted();
    this.#own = URL.createObjectURL(new Blob([bytes], { type: file.type }));
    return this.#own;
  }

  /** @param {FileView} file @param {string} url */
  #put(file, url) {
    const broken = () => fill(this.stage, element("p", { class: "load", role: "status" }, words.files.broken));
    const label = { onerror: broken, src: url };
    const shown =
      kindOf(file) === "video"
        ? element("video", { ...label, controls: true, autoplay: true, playsinline: true, "aria-label": labelOf(file) })
        : element("img", { ...label, alt: nameOf(file), draggable: "false", width: file.width, height: file.height });
    fill(this.stage, shown);
    const next = this.items[this.#at + 1]?.file;
    if (next && kindOf(next) === "picture" && next.size <= PREVIEW_BYTES) this.files.blobs.url(next).catch(() => {}); // it is shown in no time then
  }

  /** @param {number} across in pixels */
  #swiped(across) {
    const rtl = getComputedStyle(this.dialog).direction === "rtl";
    if (Math.abs(across) > SWIPE_PIXELS) this.#go(across < 0 !== rtl ? 1 : -1);
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.target instanceof HTMLVideoElement || event.ctrlKey || event.metaKey || event.altKey) return; // there they move in the video
    const forward = getComputedStyle(this.dialog).direction === "rtl" ? -1 : 1;
    const all = this.items.length;
    /** @type {Record<string, () => void>} */
    const keys = {
      ArrowRight: () => this.#go(forward),
      ArrowLeft: () => this.#go(-forward),
      Home: () => this.#go(-this.#at),
      End: () => this.#go(all - 1 - this.#at),
      "+": () => this.zoom.by(1.5),
      "-": () => this.zoom.by(1 / 1.5),
      0: () => this.zoom.reset(),
    };
    const done = keys[event.key];
    if (!done) return;
    event.preventDefault();
    done();
  }
}
