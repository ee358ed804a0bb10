/** The bytes of files as addresses for `<img>`, `<video>` and `<audio>`: those send no token, so the files are fetched. */

/** @import { FileView, RestApiClient } from "../../sdk/index.js" */

/** @typedef {Pick<FileView, "attachmentId" | "type" | "blob">} Source */
/** @typedef {{ url: string, bytes: number }} Held */

/** What is kept at most; the files used least recently go first. */
const MOST_BYTES = 96_000_000;
const MOST_FILES = 150;

export class Blobs {
  /** By attachment id, or by the file itself while it is not uploaded; used most recently last. @type {Map<unknown, Held>} */
  #held = new Map();
  /** @type {Map<unknown, Promise<string>>} */
  #loading = new Map();
  #bytes = 0;
  #closed = false;

  /** @param {RestApiClient} rest */
  constructor(rest) {
    this.rest = rest;
  }

  /** Return a file's address, if its bytes are here. @param {Source} file */
  known(file) {
    const key = file.blob ?? file.attachmentId;
    const held = this.#held.get(key);
    if (held) this.#held.delete(key), this.#held.set(key, held);
    else if (file.blob) return this.#keep(key, file.blob, file.type);
    return held?.url;
  }

  /** Return a file's address. It is fetched once, however many ask. @param {Source} file @returns {Promise<string>} */
  async url(file) {
    const known = this.known(file);
    if (known) return known;
    const id = /** @type {string} */ (file.attachmentId);
    const loading = this.#loading.get(id) ?? this.rest.downloadAttachment(id).then((blob) => this.#keep(id, blob, file.type));
    this.#loading.set(id, loading);
    try {
      return await loading;
    } finally {
      this.#loading.delete(id);
    }
  }

  /**
   * Return the bytes themselves.
   *
   * @param {Source} file
   * @param {import("../../sdk/attachments.js").DownloadOptions} options
   * @returns {Promise<Blob>}
   */
  async bytes(file, options) {
    return file.blob ?? this.rest.downloadAttachment(/** @type {string} */ (file.attachmentId), options);
  }

  close() {
    this.#closed = true;
    for (const { url } of this.#held.values()) URL.revokeObjectURL(url);
    this.#held.clear();
  }

  /** @param {unknown} key @param {Blob} blob @param {string} type */
  #keep(key, blob, type) {
    if (this.#closed) throw new DOMException("the session is over", "AbortError");
    const url = URL.createObjectURL(new Blob([blob], { type: blob.type || type }));
    this.#held.set(key, { url, bytes: blob.size });
    this.#bytes += blob.size;
    for (const [old, { url: gone, bytes }] of this.#held) {
      if (old === key || (this.#bytes <= MOST_BYTES && this.#held.size <= MOST_FILES)) break;
      URL.revokeObjectURL(gone); // an image that shows it goes on doing so
      this.#held.delete(old);
      this.#bytes -= bytes;
    }
    return url;
  }
}

/**
 * Call back once an element comes near to what is seen.
 *
 * @param {Element} node
 * @param {() => void} come
 */
export function whenNear(node, come) {
  coming.set(node, come);
  watcher.observe(node);
}

/** @type {WeakMap<Element, () => void>} */
const coming = new WeakMap();
const NEAR = "600px 0px";
const watcher = new IntersectionObserver(
  (entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      watcher.unobserve(target);
      coming.get(target)?.();
      coming.delete(target);
    }
  },
  // The list scrolls, not the window: a browser that does not know `scrollMargin` loads what is in sight.
  /** @type {IntersectionObserverInit} */ ({ rootMargin: NEAR, scrollMargin: NEAR }),
);
