/**
 * Messages whose files are on their way up. Such a message is kept, with its files where the storage can hold them,
 * until the server has it; an upload that breaks is made again once there is a connection. It takes its place among the
 * other messages when its files are there.
 */

import { Deferred } from "../deferred.js";
import { RelayError } from "../errors.js";
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
 * @typedef {object} Saved what is kept of a message
 * @property {string} type
 * @property {Record<string, any>} payload
 * @property {string} target
 * @property {number} timestamp
 * @property {(string | Uploadable)[]} files ids of those that are up
 */

/** @typedef {{ message: UploadingMessage, saved: Saved, stop: AbortController, onProgress?: Progress }} Job */

const PREFIX = "uploads/";
const LONGEST_WAIT_SECONDS = 30;

export class Uploads {
  /** @type {Map<string, Job>} */
  #jobs = new Map();
  /** @type {Set<(message: SentMessage) => void>} */
  #listeners = new Set();
  #closing = new AbortController();
  #socket;
  #rest;

  /**
   * @param {SocketManager} socket
   * @param {RestApiClient} rest
   */
  constructor(socket, rest) {
    this.#socket = socket;
    this.#rest = rest;
    this.#resume().catch((/** @type {Error} */ error) => console.error("relay-sdk: the kept uploads cannot be read", error));
  }

  /** @returns {UploadingMessage[]} those that the outbox does not know yet */
  get messages() {
    return [...this.#jobs.values()].flatMap(({ message }) => (message.sent ? [] : [message]));
  }

  /** @param {(message: SentMessage) => void} listener */
  onChange(listener) {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /**
   * @param {string} type
   * @param {Record<string, any>} payload
   * @param {string} target
   * @param {(string | Uploadable)[]} files
   * @param {{ id?: string, onProgress?: Progress, signal?: AbortSignal }} options
   */
  send(type, payload, target, files, { id = generateUniqueId(), onProgress, signal }) {
    const saved = { type, payload, target, timestamp: Date.now() / 1000, files };
    const job = this.#add(id, saved, onProgress);
    signal?.addEventListener("abort", () => void job.message.cancel(), { once: true });
    this.#whenFree(PREFIX + id, () => this.#run(job, this.#save(job)));
    return job.message;
  }

  /**
   * Try again; tells whether the message is one of these.
   *
   * @param {string} id
   */
  retry(id) {
    const job = this.#jobs.get(id);
    if (!job || job.message.sent) return false;
    if (job.message.state === "failed") this.#run(job);
    return true;
  }

  /**
   * Drop a message; tells whether it is one of these.
   *
   * @param {string} id
   */
  async discard(id) {
    const job = this.#jobs.get(id);
    if (!job || job.message.sent) return false;
    await job.message.cancel();
    return true;
  }

  /** Stop; what is kept goes on with the next one. */
  close() {
    this.#closing.abort();
    this.#listeners.clear();
  }

  /**
   * @param {string} id
   * @param {Saved} saved
   * @param {Progress} [onProgress]
   * @returns {Job}
   */
  #add(id, saved, onProgress) {
    const meta = { id, target_id: saved.target, timestamp: saved.timestamp };
    const envelope = { type: saved.type, payload: saved.payload, meta };
    const message = new UploadingMessage(/** @type {any} */ (envelope), () => this.#cancel(id));
    const job = { message, saved, onProgress, stop: new AbortController() };
    this.#jobs.set(id, job);
    return job;
  }

  /** @param {Job} job */
  #tell({ message }) {
    for (const listener of [...this.#listeners]) listener(message);
  }

  /**
   * @param {Job} job
   * @param {Promise<void>} [saved]
   */
  async #run(job, saved) {
    job.message.become(/** @type {any} */ ("uploading"));
    this.#tell(job);
    try {
      await saved;
      for (const at of job.saved.files.keys()) await this.#upload(job, at);
      this.#handOver(job);
    } catch (error) {
      if (this.#closing.signal.aborted || !this.#jobs.has(job.message.id)) return;
      job.message.become("failed", { error: /** @type {Error} */ (error) });
      this.#tell(job);
    }
  }

  /**
   * Upload one file, however often it takes.
   *
   * @param {Job} job
   * @param {number} at
   */
  async #upload(job, at) {
    const signal = AbortSignal.any([job.stop.signal, this.#closing.signal]);
    const { files } = job.saved;
    for (let tried = 0; ; tried += 1) {
      const file = files[at];
      if (file === undefined || typeof file === "string") return;
      try {
        const onProgress = (/** @type {number} */ loaded, /** @type {number} */ total) => this.#progress(job, at, loaded, total);
        const attachment = await this.#rest.uploadAttachment(file, { onProgress, signal });
        job.saved.files = files.with(at, attachment.attachment_id);
        return await this.#save(job);
      } catch (error) {
        if (signal.aborted || !(error instanceof RelayError) || !error.retry) throw error;
        await this.#wait(error.retryAfter ?? Math.min(LONGEST_WAIT_SECONDS, 0.5 * 2 ** tried), signal);
      }
    }
  }

  /**
   * @param {Job} job
   * @param {number} at
   * @param {number} loaded
   * @param {number} total
   */
  #progress(job, at, loaded, total) {
    job.message.progress = (at + (total > 0 ? loaded / total : 0)) / job.saved.files.length;
    job.onProgress?.(loaded, total);
    this.#tell(job);
  }

  /** @param {Job} job */
  #handOver({ message, saved }) {
    const payload = { ...saved.payload, attachments: saved.files };
    message.envelope = { ...message.envelope, payload };
    const held = this.#socket.outbox.get(message.id);
    const sent = held ?? this.#socket.sendMessage(saved.type, payload, saved.target, { id: message.id });
    message.sent = /** @type {SentMessage} */ (sent);
    const follow = () => {
      message.become(sent.state, sent);
      if (sent.ack || this.#socket.outbox.get(message.id) === undefined) this.#forget(message.id);
    };
    sent.onChange(follow);
    follow();
  }

  /** @param {string} id */
  async #cancel(id) {
    const job = this.#jobs.get(id);
    if (!job) return false;
    if (job.message.sent) return job.message.sent.cancel();
    job.stop.abort();
    this.#forget(id);
    job.message.become("failed", { error: new DOMException("the message was taken back", "AbortError") });
    this.#tell(job);
    return true;
  }

  // ---- what is kept

  /** @param {Job} job */
  async #save({ message, saved }) {
    const { storage } = this.#socket;
    const key = PREFIX + message.id;
    await storage.apply([["put", key, saved]]);
    // A storage of JSON, in Node, takes paths but no Blobs: then the message lasts as long as the process.
    const { files } = await storage.get(key);
    const spoilt = saved.files.some((file, at) => file instanceof Blob && !(files[at] instanceof Blob));
    if (spoilt) await storage.apply([["delete", key]]);
  }

  /** @param {string} id */
  async #forget(id) {
    this.#jobs.delete(id);
    await this.#socket.storage.apply([["delete", PREFIX + id]]);
  }

  /** Go on with what an earlier page or process left, once it is gone. */
  async #resume() {
    for (const [key] of await this.#socket.storage.getAll(PREFIX)) {
      const id = key.slice(PREFIX.length);
      if (!this.#jobs.has(id)) this.#whenFree(key, () => this.#again(key, id));
    }
  }

  /**
   * @param {string} key
   * @param {string} id
   */
  async #again(key, id) {
    const saved = await this.#socket.storage.get(key);
    if (!saved || this.#jobs.has(id) || this.#closing.signal.aborted) return;
    const job = this.#add(id, saved);
    await this.#run(job);
  }

  /**
   * Do something when no other tab does it.
   *
   * @param {string} key
   * @param {() => Promise<void>} action
   */
  #whenFree(key, action) {
    const locks = globalThis.navigator?.locks;
    if (!locks) return void action();
    const { signal } = this.#closing;
    locks.request(`relay ${key}`, { signal }, action).catch((/** @type {unknown} */ error) => {
      if (!signal.aborted) throw error;
    });
  }

  /**
   * Wait, or until there is a connection again.
   *
   * @param {number} seconds
   * @param {AbortSignal} signal
   */
  async #wait(seconds, signal) {
    const over = /** @type {Deferred<unknown>} */ (new Deferred());
    const timer = setTimeout(over.resolve, seconds * 1000);
    const end = this.#socket.on("state", (state) => state === "connected" && over.resolve(undefined));
    signal.addEventListener("abort", over.resolve, { once: true });
    await over.promise;
    clearTimeout(timer);
    end();
    signal.removeEventListener("abort", over.resolve);
    signal.throwIfAborted();
  }
}
