/** Files in messages: names, previews of pictures, downloads. All are fetched, as an <img> or a link sends no token. */

import { button, element, fill, icon } from "./dom.js";
import { isolate, size, straight } from "./format.js";

/** @import { MessagingAPI } from "../sdk/index.js" */
/** @import { Attachment } from "../sdk/types.js" */

/** Larger pictures have no preview. */
const PREVIEW_BYTES = 8_000_000;
const PICTURES = /^image\/(?:png|jpeg|gif|webp|avif)$/;

export class Files {
  /** @type {Map<string, Promise<Attachment>>} */
  #described = new Map();
  /** @type {Map<string, Promise<string>>} object URLs of pictures */
  #pictures = new Map();
  /** @type {Set<string>} object URLs of downloads that the browser may still read */
  #downloads = new Set();
  #closed = false;

  /** @param {MessagingAPI} messaging */
  constructor(messaging) {
    this.rest = messaging.restApi;
  }

  /**
   * Draw a file of a message. Its name and size follow once they are loaded.
   *
   * @param {string} id
   * @param {() => void} grown called when its height changed
   */
  draw(id, grown) {
    const place = element("div", { class: "file" }, element("span", { class: "name" }, "File"));
    void this.#fill(place, id, grown);
    return place;
  }

  /** Release everything that was loaded, as the session is over. */
  close() {
    this.#closed = true;
    for (const url of this.#downloads) URL.revokeObjectURL(url);
    for (const picture of this.#pictures.values())
      picture.then(
        (url) => URL.revokeObjectURL(url),
        () => {},
      );
  }

  /**
   * @param {HTMLElement} place
   * @param {string} id
   * @param {() => void} grown
   */
  async #fill(place, id, grown) {
    try {
      const file = await remembered(this.#described, id, () => this.rest.getAttachment(id));
      const name = element("span", { class: "name" }, element("bdi", {}, straight(file.name)));
      const about = element("span", { class: "about" }, size(file.size));
      const get = button(`Download ${isolate(file.name)}`, () => void this.#download(file, about), {
        sign: icon("download"),
        class: "quiet",
      });
      fill(place, name, about, get);
      if (!PICTURES.test(file.type) || file.size > PREVIEW_BYTES) return;
      const url = await remembered(this.#pictures, id, async () =>
        URL.createObjectURL(await this.rest.downloadAttachment(id)),
      );
      const picture = element("img", { src: url, alt: file.name, onload: grown });
      place.classList.add("picture");
      place.prepend(picture);
    } catch (error) {
      fill(place, element("span", { class: "name" }, "This file cannot be shown now."));
      if (!(error instanceof Error)) throw error;
    }
  }

  /**
   * @param {Attachment} file
   * @param {HTMLElement} about
   */
  async #download({ attachment_id, name, size: bytes }, about) {
    const bar = element("progress", { max: bytes || 1, value: 0, "aria-label": `Downloading ${isolate(name)}` });
    fill(about, bar);
    try {
      const blob = await this.rest.downloadAttachment(attachment_id, { onProgress: (loaded) => (bar.value = loaded) });
      if (this.#closed) return;
      const url = URL.createObjectURL(blob);
      this.#downloads.add(url);
      element("a", { href: url, download: name }).click();
      setTimeout(() => (this.#downloads.delete(url), URL.revokeObjectURL(url)), 60_000); // the browser reads it after the click
      fill(about, size(bytes));
    } catch {
      fill(about, "The download was cut. Try again.");
    }
  }
}

/**
 * Return the remembered value, or make it. A failure is not remembered.
 *
 * @template Value
 * @param {Map<string, Promise<Value>>} memory
 * @param {string} id
 * @param {() => Promise<Value>} make
 */
function remembered(memory, id, make) {
  const known = memory.get(id) ?? make();
  memory.set(id, known);
  known.catch(() => memory.delete(id));
  return known;
}
