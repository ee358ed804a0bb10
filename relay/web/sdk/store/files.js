/** The files of messages: as the server describes them, and those that this device sends. */

/**
 * @import { Attachment } from "../types.js"
 * @import { Uploadable } from "../attachments.js"
 */

/**
 * @typedef {object} FileView a file of a message
 * @property {string | null} attachmentId null until it is uploaded
 * @property {string} name empty where nobody described it: ask `restApi.getAttachment`
 * @property {string} type its media type, as the server recognized it; before it is uploaded, as the browser tells it
 * @property {number} size in bytes
 * @property {number | null} width a picture's, in pixels; null where it is not known
 * @property {number | null} height
 * @property {Blob | null} blob the file itself, where this device has sent it
 * @property {number | null} progress from 0 to 1 while it is uploaded; null for one that is
 * @property {boolean} described whether name, type and size are known
 */

/** @typedef {{ envelope: any, progress?: number }} Outgoing what of a message that is on its way counts here */

/** @typedef {{ attachment: Attachment, blob: Blob | null }} Uploaded a file that this device uploaded */

/** So many files that this device uploaded are kept in mind: a file held by the browser is no memory, a recording is. */
const MOST_UPLOADED = 50;

export class UploadedFiles {
  /** @type {Map<string, Uploaded>} by attachment id */
  #files = new Map();

  /** Note what a message of this device has uploaded so far. @param {Outgoing} sent */
  take({ envelope: { uploaded = [] } }) {
    for (const file of /** @type {Uploaded[]} */ (uploaded)) this.#files.set(file.attachment.attachment_id, file);
    for (const id of this.#files.keys()) if (this.#files.size > MOST_UPLOADED) this.#files.delete(id);
  }

  /**
   * Return the files of a message that the server has, or that names only such files.
   *
   * @param {Readonly<Record<string, any>>} payload
   * @returns {readonly FileView[]}
   */
  of({ attachments, files }) {
    if (!Array.isArray(attachments) || attachments.length === 0) return NONE;
    const described = new Map((Array.isArray(files) ? files : []).map((file) => [file.attachment_id, file]));
    return Object.freeze(attachments.filter((id) => typeof id === "string").map((id) => this.#view(id, described.get(id))));
  }

  /** Return the files of a message that is not stored yet. @param {Outgoing} sent @returns {readonly FileView[]} */
  unsent({ envelope, progress = 0 }) {
    /** @type {(string | Uploadable)[] | undefined} */
    const files = envelope.saved?.files;
    if (!files) return this.of(envelope.payload);
    return Object.freeze(files.map((file, at) => (typeof file === "string" ? this.#view(file) : local(file, between(progress * files.length - at)))));
  }

  /** @param {string} id @param {Omit<Attachment, "sha256">} [described] @returns {FileView} */
  #view(id, described) {
    const uploaded = this.#files.get(id);
    const { name = "", type = "", size = 0, width = null, height = null } = described ?? uploaded?.attachment ?? {};
    const blob = uploaded?.blob ?? null;
    return Object.freeze({ attachmentId: id, name, type, size, width, height, blob, progress: null, described: name !== "" });
  }
}

/** @type {readonly FileView[]} */
const NONE = Object.freeze([]);

/** @param {Uploadable} file @param {number} progress @returns {FileView} */
function local(file, progress) {
  const blob = file instanceof Blob ? file : null;
  const { name = "", path = "" } = /** @type {{ name?: string, path?: string }} */ (file);
  const shown = name || (path.split(/[\\/]/).at(-1) ?? "");
  const about = { name: shown, type: file.type ?? "", size: blob?.size ?? 0, width: null, height: null };
  return Object.freeze({ attachmentId: null, ...about, blob, progress, described: true });
}

/** @param {number} part */
function between(part) {
  return Math.max(0, Math.min(1, part));
}
