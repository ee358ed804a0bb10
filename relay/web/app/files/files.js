/** Files in messages: pictures, videos and sound where they stand, everything else as a line with what can be done. */

import { button, element, fill, icon, openDialog } from "../dom.js";
import { isolate, size } from "../format.js";
import { words } from "../words.js";
import { Blobs } from "./blobs.js";
import { kindOf, labelOf, nameOf } from "./kinds.js";
import { openLightbox } from "./lightbox.js";
import { drawPictures, percent } from "./pictures.js";
import { Player } from "./sound.js";

/** @import { FileView, MessageView, MessagingAPI } from "../../sdk/index.js" */
/** @import { ConversationPane } from "../conversation/conversation.js" */

/** @typedef {FileView | null} Described a description; null for a file that is gone */

/** The browser reads a download's address after the click. */
const READ_MILLISECONDS = 60_000;
const TEXT_BYTES = 65_536;
/** So many descriptions are remembered of messages that bring none. */
const MOST_DESCRIBED = 1_000;

export class Files {
  /** @type {Map<string, Described | Promise<void>>} */
  #described = new Map();
  /** @type {Set<string>} addresses that the browser may still read */
  #handed = new Set();
  #closed = false;

  /** @param {MessagingAPI} messaging */
  constructor(messaging) {
    this.rest = messaging.restApi;
    this.blobs = new Blobs(this.rest);
    this.player = new Player(this.blobs);
  }

  /**
   * Draw all files of a message; null if it has none.
   *
   * @param {MessageView} message
   * @param {ConversationPane} pane
   */
  drawAll(message, pane) {
    if (message.files.length === 0) return null;
    const place = element("div", { class: "files" });
    const draw = () => this.#fill(place, message.files.map((file) => this.#known(file, draw)), pane);
    draw();
    return place;
  }

  /** Release everything that was loaded, as the session is over. */
  close() {
    this.#closed = true;
    this.player.close();
    this.blobs.close();
    for (const url of this.#handed) URL.revokeObjectURL(url);
    this.#handed.clear();
  }

  /**
   * Draw one file as a line: its name, what it is, and buttons.
   *
   * @param {FileView} file
   * @param {...HTMLElement} more further buttons
   */
  drawRow(file, ...more) {
    const kind = kindOf(file);
    const about = element("span", { class: "about" }, this.#about(file));
    const openers = { pdf: () => this.openPdf(file, about), text: () => this.#openText(file) };
    const open = kind === "pdf" || kind === "text" ? openers[kind] : null;
    const name = isolate(nameOf(file));
    const get = button(words.files.download(name), () => void this.download(file, about), { sign: icon("download"), class: "quiet" });
    const show = open && button(words.files.open(name), () => void open(), { sign: icon("open"), class: "quiet" });
    const ready = file.attachmentId !== null;
    return element(
      "div",
      { class: "file", role: "group", "aria-label": labelOf(file) },
      element("span", { class: "sort", "aria-hidden": "true" }, icon("document")),
      element("span", { class: "name" }, element("bdi", {}, nameOf(file))),
      about,
      element("span", { class: "tools" }, ...more, ready && show, ready && get),
    );
  }

  /**
   * Save a file to the disk. What `about` says becomes the progress meanwhile, with a button that stops it.
   *
   * @param {FileView} file
   * @param {HTMLElement} about
   */
  async download(file, about) {
    const bytes = await this.#fetch(file, about);
    if (bytes) element("a", { href: this.#hand(bytes), download: nameOf(file) }).click();
  }

  /**
   * Open a PDF in a tab of its own. Its bytes begin as a PDF's do, and its address says that it is one and nothing else: the
   * browser's viewer shows it, which runs none of its scripts as ours.
   *
   * @param {FileView} file
   * @param {HTMLElement} about
   */
  async openPdf(file, about) {
    const tab = open("about:blank", "_blank"); // now: a browser blocks tabs that a click has not opened
    const bytes = await this.#fetch(file, about);
    if (!bytes) return tab?.close();
    const url = this.#hand(new Blob([bytes], { type: "application/pdf" }));
    if (!tab) return void element("a", { href: url, download: nameOf(file) }).click();
    tab.opener = null;
    tab.location.replace(url);
  }

  /** @param {FileView} file */
  async #openText(file) {
    const text = element("pre", { class: "preview", tabindex: 0, dir: "auto" });
    const about = element("p", { class: "about" }, this.#about(file));
    const foot = element("p", { class: "choice" }, button(words.files.download(labelOf(file)), () => void this.download(file, about), { sign: words.files.save, class: "primary" }));
    openDialog(nameOf(file), about, element("div", {}, text), foot).classList.add("wide");
    try {
      const part = await this.blobs.bytes(file, file.size > TEXT_BYTES ? { range: [0, TEXT_BYTES - 1] } : {});
      text.textContent = await part.slice(0, TEXT_BYTES).text();
      if (file.size > TEXT_BYTES) text.append(element("em", {}, `\n… ${words.files.more(size(file.size))}`));
    } catch {
      fill(text, words.files.gone);
    }
  }

  /**
   * Fetch a file; undefined if it could not be, which `about` tells.
   *
   * @param {FileView} file
   * @param {HTMLElement} about
   */
  async #fetch(file, about) {
    const stop = new AbortController();
    const bar = element("progress", { max: file.size || 1, value: 0, "aria-label": words.files.downloading(isolate(nameOf(file))) });
    fill(about, bar, button(words.files.stop, () => stop.abort(), { sign: icon("close"), class: "quiet" }));
    about.classList.add("loading");
    try {
      const bytes = await this.blobs.bytes(file, { signal: stop.signal, onProgress: (loaded) => (bar.value = loaded) });
      fill(about, this.#about(file));
      return this.#closed ? undefined : bytes;
    } catch (error) {
      const { name, status } = /** @type {{ name?: string, status?: number }} */ (error);
      fill(about, name === "AbortError" ? this.#about(file) : status === 404 ? words.files.gone : words.files.cut);
    } finally {
      about.classList.remove("loading");
    }
  }

  /** @param {FileView} file */
  #about(file) {
    const told = `${words.files.kinds[kindOf(file)]} · ${size(file.size)}`;
    return file.progress === null ? told : `${told} · ${percent(file.progress)}`;
  }

  /** Give bytes an address that is released once the browser has read it. @param {Blob} bytes */
  #hand(bytes) {
    const url = URL.createObjectURL(bytes);
    this.#handed.add(url);
    setTimeout(() => (this.#handed.delete(url), URL.revokeObjectURL(url)), READ_MILLISECONDS);
    return url;
  }

  /** @param {HTMLElement} place @param {(Described | undefined)[]} files @param {ConversationPane} pane */
  #fill(place, files, pane) {
    const present = files.filter((file) => file !== null && file !== undefined);
    const seen = present.filter((file) => ["picture", "video"].includes(kindOf(file)));
    const rest = present.filter((file) => !seen.includes(file));
    fill(
      place,
      seen.length > 0 && drawPictures(seen, this.blobs, (file) => openLightbox(this, pane, file)),
      ...rest.map((file) => (kindOf(file) === "sound" ? this.player.draw(file) : this.drawRow(file))),
      ...files.map((file) => (file === null ? element("p", { class: "deleted" }, words.files.gone) : file === undefined && element("p", { class: "about" }, words.files.file))),
    );
  }

  /**
   * Return what is known of a file: null if it is gone, undefined while the server is asked.
   *
   * @param {FileView} file
   * @param {() => void} told
   * @returns {Described | undefined}
   */
  #known(file, told) {
    const id = file.attachmentId;
    if (file.described || id === null) return file;
    const known = this.#described.get(id);
    if (!(known instanceof Promise) && known !== undefined) return known;
    const asking = known ?? this.#describe(file, id);
    this.#described.set(id, asking);
    void asking.then(() => this.#described.has(id) && told()); // without a network it is asked for when it is drawn again
    return undefined;
  }

  /** @param {FileView} file @param {string} id */
  async #describe(file, id) {
    try {
      const { name, type, size: bytes } = await this.rest.getAttachment(id);
      this.#described.set(id, Object.freeze({ ...file, name, type, size: bytes, described: true }));
    } catch (error) {
      if (/** @type {{ status?: number }} */ (error).status === 404) this.#described.set(id, null);
      else this.#described.delete(id);
    }
    for (const old of this.#described.keys()) if (this.#described.size > MOST_DESCRIBED) this.#described.delete(old);
  }
}
