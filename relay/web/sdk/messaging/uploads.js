/**
 * Messages whose files are being uploaded. The upload itself is in upload-worker.js, which is loaded on demand: most pages
 * and bots never send a file.
 */

import { generateUniqueId } from "../ids.js";
import { UploadingMessage } from "./uploading-message.js";

/**
 * @import { Progress } from "../types.js"
 * @import { Uploadable } from "../attachments.js"
 * @import { RestApiClient } from "../rest-api-client.js"
 * @import { SentMessage } from "../sent-message.js"
 * @import { SocketManager } from "../socket-manager.js"
 */

/**
 * @typedef {object} Saved a message as it is stored
 * @property {string} type
 * @property {Record<string, any>} payload
 * @property {string} target
 * @property {number} timestamp
 * @property {(string | Uploadable)[]} files uploaded ones are ids
 */

/** @typedef {{ message: UploadingMessage, saved: Saved, stop: AbortController, onProgress?: Progress }} Job */

/** @typedef {{ begin(job: Job): void, resume(keys: string[]): void }} Worker what sends the files, in upload-worker.js */

const PREFIX = "uploads/";

export class Uploads {
  /** @type {Map<string, Job>} */
  jobs = new Map();
  closing = new AbortController();
  /** @type {Set<(message: SentMessage) => void>} */
  #listeners = new Set();
  /** @type {Promise<Worker> | null} */
  #worker = null;
  #end;

  /** @param {SocketManager} socket @param {RestApiClient} rest */
  constructor(socket, rest) {
    this.socket = socket;
    this.rest = rest;
    // Load it while there is a connection: without one it could not be loaded when it is needed.
    this.#end = socket.on("state", (state) => state === "connected" && void this.#work().catch(() => {}));
    const kept = socket.storage.getAll(PREFIX);
    kept.then(async (entries) => entries.length > 0 && (await this.#work()).resume(entries.map(([key]) => key))).catch((error) => {
      console.error("relay-sdk: the kept uploads cannot be read", error);
    });
  }

  /** @returns {UploadingMessage[]} those that are not in the outbox yet */
  get messages() {
    return [...this.jobs.values()].flatMap(({ message }) => (message.sent ? [] : [message]));
  }

  /** @param {(message: SentMessage) => void} listener */
  onChange(listener) {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** @param {SentMessage} message */
  tell(message) {
    for (const listener of [...this.#listeners]) listener(message);
    this.warn(message);
  }

  /** Warn of a failure that nobody listens to. @param {SentMessage} message */
  warn(message) {
    if (message.state === "failed") setTimeout(() => this.#listeners.size || message.warn());
  }

  /**
   * @param {string} type
   * @param {Record<string, any>} payload
   * @param {string} target
   * @param {(string | Uploadable)[]} files
   * @param {{ id?: string, onProgress?: Progress, signal?: AbortSignal }} options
   */
  send(type, payload, target, files, { id = generateUniqueId(), onProgress, signal }) {
    const job = this.add(id, { type, payload, target, timestamp: Date.now() / 1000, files }, onProgress);
    signal?.addEventListener("abort", () => void job.message.cancel(), { once: true });
    if (signal?.aborted) void job.message.cancel();
    else this.#begin(job);
    return job.message;
  }

  /** @param {string} id @param {Saved} saved @param {Progress} [onProgress] @returns {Job} */
  add(id, saved, onProgress) {
    const { type, payload, target, timestamp } = saved;
    // `saved` goes to no server: from it a Store shows the files while they are uploaded.
    const envelope = /** @type {any} */ ({ type, payload, saved, meta: { id, target_id: target, timestamp } });
    const message = Object.assign(new UploadingMessage(envelope, () => this.#cancel(id)), { saved });
    const job = { message, saved, onProgress, stop: new AbortController() };
    this.jobs.set(id, job);
    return job;
  }

  /**
   * Retry a message; tells whether it is one of these.
   *
   * @param {string} id
   */
  retry(id) {
    const job = this.jobs.get(id);
    if (!job || job.message.sent) return false;
    if (job.message.state === "failed") this.#begin(job);
    return true;
  }

  /**
   * Delete a message; tells whether it was one of these.
   *
   * @param {string} id
   */
  async discard(id) {
    const job = this.jobs.get(id);
    if (!job || job.message.sent) return false;
    return job.message.cancel();
  }

  /** @param {string} id */
  async forget(id) {
    this.jobs.delete(id);
    await this.socket.storage.apply([["delete", PREFIX + id]]);
  }

  /** Stop. Stored messages go on with the next Uploads. */
  close() {
    this.closing.abort();
    this.#end();
    this.#listeners.clear();
  }

  /** @param {Job} job */
  async #begin(job) {
    job.message.become(/** @type {any} */ ("uploading"));
    this.tell(job.message);
    try {
      (await this.#work()).begin(job);
    } catch (error) {
      job.message.become("failed", { error: /** @type {Error} */ (error) });
      this.tell(job.message);
    }
  }

  /** @param {string} id */
  async #cancel(id) {
    const job = this.jobs.get(id);
    if (!job) return false;
    if (job.message.sent) return job.message.sent.cancel();
    job.stop.abort();
    await this.forget(id);
    job.message.become("failed", { error: new DOMException("the message was cancelled", "AbortError") });
    this.tell(job.message);
    return true;
  }

  #work() {
    this.#worker ??= import("./upload-worker.js").then(({ UploadWorker }) => new UploadWorker(this));
    this.#worker.catch(() => (this.#worker = null)); // the next use tries again
    return this.#worker;
  }
}
