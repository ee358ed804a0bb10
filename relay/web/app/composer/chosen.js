/** The files that were chosen for a message: what is admitted, and how they are shown before they are sent. */

import { button, element, icon } from "../dom.js";
import { isolate, size, straight } from "../format.js";
import { counted, words } from "../words.js";

/** As the server has it: a message has at most so many. */
const MOST = 20;
const PICTURES = /^image\/(?:png|jpeg|gif|webp|avif)$/;
const VIDEOS = /^video\/(?:mp4|webm|ogg)$/;

/**
 * Return which of more files are taken, and why others are not.
 *
 * @param {readonly File[]} held
 * @param {readonly File[]} more
 * @param {number} [bytes] the largest file that the server takes; 0 for any
 * @returns {{ files: File[], refused: string[] }} in people's words
 */
export function admit(held, more, bytes = 0) {
  const fitting = more.filter((file) => bytes === 0 || file.size <= bytes);
  const tooLarge = more.filter((file) => !fitting.includes(file));
  const refused = tooLarge.map((file) => words.composer.tooLarge(isolate(straight(file.name)), size(file.size), size(bytes)));
  const room = Math.max(0, MOST - held.length);
  if (fitting.length > room) refused.push(counted(MOST, words.composer.tooMany));
  return { files: [...held, ...fitting.slice(0, room)], refused };
}

export class ChosenFiles {
  /** @type {Map<File, { node: HTMLElement, url: string }>} */
  #shown = new Map();

  /** @param {(file: File) => void} remove */
  constructor(remove) {
    this.remove = remove;
    this.node = element("ul", { class: "chosen", "aria-label": words.composer.filesToSend });
  }

  /** @param {readonly File[]} files */
  show(files) {
    for (const [file, { node, url }] of this.#shown) {
      if (files.includes(file)) continue;
      node.remove();
      if (url) URL.revokeObjectURL(url);
      this.#shown.delete(file);
    }
    for (const file of files) if (!this.#shown.has(file)) this.node.append(this.#draw(file));
  }

  close() {
    this.show([]);
  }

  /** @param {File} file */
  #draw(file) {
    const picture = PICTURES.test(file.type);
    const url = picture || VIDEOS.test(file.type) ? URL.createObjectURL(file) : "";
    const node = element(
      "li",
      {},
      preview(picture, url),
      element("span", { class: "what" }, element("bdi", { class: "name" }, straight(file.name)), element("span", { class: "note" }, size(file.size))),
      button(words.composer.removeFile(isolate(straight(file.name))), () => this.remove(file), { sign: icon("close"), class: "quiet" }),
    );
    this.#shown.set(file, { node, url });
    return node;
  }
}

/** @param {boolean} picture @param {string} url */
function preview(picture, url) {
  if (picture) return element("img", { src: url, alt: "", class: "preview" });
  if (url) return element("video", { src: url, class: "preview", muted: true, preload: "metadata", tabindex: -1, "aria-hidden": "true" });
  return element("span", { class: "preview sign", "aria-hidden": "true" }, icon("file"));
}

/**
 * Return a file with a name: what a browser pastes may have none, or the one that all pasted pictures have.
 *
 * @param {Blob} file
 */
export function namedFile(file) {
  return file instanceof File && file.name ? file : new File([file], words.composer.unnamed, { type: file.type });
}
