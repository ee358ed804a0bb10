/**
 * Uploads the files of messages. A message is stored until the server has it, with its files where the storage can hold
 * them. A broken upload is repeated once there is a connection. When its files are uploaded, the message goes into the
 * outbox like any other.
 *
 * Loaded on demand. It imports nothing, because bundlers put a module that is shared with a lazy one into a chunk of its
 * own.
 */

/** @import { SentMessage } from "../sent-message.js" */
/** @import { Job, Uploads } from "./uploads.js" */

const PREFIX = "uploads/"; // as in uploads.js
const MAX_WAIT_SECONDS = 30;

export class UploadWorker {
  #uploads;
  /** Whether a storage that cannot hold files was reported. */
  #reported = false;

  /** @param {Uploads} uploads */
  constructor(uploads) {
    this.#uploads = uploads;
  }

  /**
   * Go on with the messages of an earlier page or process, once it has ended.
   *
   * @param {string[]} keys
   */
  resume(keys) {
    for (const key of keys) this.#whenFree(key, () => this.#again(key));
  }

  /** @param {Job} job */
  begin(job) {
    this.#whenFree(PREFIX + job.message.id, () => this.#run(job));
  }

  /** @param {string} key */
  async #again(key) {
    const { jobs, closing, socket } = this.#uploads;
    const id = key.slice(PREFIX.length);
    const saved = await socket.storage.get(key);
    if (!saved || jobs.has(id) || closing.signal.aborted) return;
    const job = this.#uploads.add(id, saved);
    job.message.become(/** @type {any} */ ("uploading"));
    this.#uploads.tell(job.message);
    await this.#run(job);
  }

  /** @param {Job} job */
  async #run(job) {
    try {
      await this.#save(job);
      for (const at of job.saved.files.keys()) await this.#upload(job, at);
      this.#handOver(job);
    } catch (error) {
      if (this.#uploads.closing.signal.aborted || !this.#uploads.jobs.has(job.message.id)) return;
      job.message.become("failed", { error: /** @type {Error} */ (error) });
      this.#uploads.tell(job.message);
    }
  }

  /**
   * Upload one file, and retry as long as that may help.
   *
   * @param {Job} job
   * @param {number} at
   */
  async #upload(job, at) {
    const signal = AbortSignal.any([job.stop.signal, this.#uploads.closing.signal]);
    const { files } = job.saved;
    for (let tried = 0; ; tried += 1) {
      const file = files[at];
      if (file === undefined || typeof file === "string") return;
      try {
        const onProgress = (/** @type {number} */ loaded, /** @type {number} */ total) => this.#progress(job, at, loaded, total);
        const attachment = await this.#uploads.rest.uploadAttachment(file, { onProgress, signal });
        job.saved.files = files.with(at, attachment.attachment_id);
        const blob = file instanceof Blob ? file : null;
        const { uploaded = [], ...envelope } = /** @type {any} */ (job.message.envelope);
        job.message.envelope = { ...envelope, uploaded: [...uploaded, { attachment, blob }] };
        return await this.#save(job);
      } catch (error) {
        const { retry, retryAfter } = /** @type {import("../errors.js").RelayError} */ (error);
        if (signal.aborted || !retry) throw error;
        await this.#wait(retryAfter ?? Math.min(MAX_WAIT_SECONDS, 0.5 * 2 ** tried), signal);
      }
    }
  }

  /** @param {Job} job @param {number} at @param {number} loaded @param {number} total */
  #progress({ message, saved, onProgress }, at, loaded, total) {
    message.progress = (at + (total > 0 ? loaded / total : 0)) / saved.files.length;
    onProgress?.(loaded, total);
    this.#uploads.tell(message);
  }

  /** @param {Job} job */
  #handOver({ message, saved }) {
    const { outbox } = this.#uploads.socket;
    const payload = { ...saved.payload, attachments: saved.files };
    message.envelope = { ...message.envelope, payload };
    const sent = outbox.get(message.id) ?? this.#uploads.socket.sendMessage(saved.type, payload, saved.target, { id: message.id });
    message.sent = /** @type {SentMessage} */ (sent);
    const follow = () => {
      message.become(sent.state, sent);
      this.#uploads.warn(message);
      if (!sent.ack && outbox.get(message.id)) return;
      void this.#uploads.forget(message.id);
      for (const end of ends.splice(0)) end();
    };
    // A discard is no change of state: the socket's event tells of it.
    const ends = [sent.onChange(follow), this.#uploads.socket.on("sent", (changed) => changed.id === sent.id && follow())];
    follow();
  }

  /** @param {Job} job */
  async #save({ message, saved }) {
    const { storage } = this.#uploads.socket;
    const key = PREFIX + message.id;
    try {
      await storage.apply([["put", key, saved]]);
      // A storage of JSON, in Node, can hold paths but no Blobs: then the message lasts as long as the process.
      const { files } = await storage.get(key);
      const spoilt = saved.files.some((file, at) => file instanceof Blob && !(files[at] instanceof Blob));
      if (spoilt) await storage.apply([["delete", key]]);
    } catch (fault) {
      // Some browsers store no Blobs, and disks fill up: the message is sent all the same.
      if (!this.#reported) this.#uploads.socket.report(fault);
      this.#reported = true;
    }
  }

  /**
   * Run an action that no other tab may run at the same time.
   *
   * @param {string} key
   * @param {() => Promise<void>} action
   */
  #whenFree(key, action) {
    const locks = globalThis.navigator?.locks;
    if (!locks) return void action();
    const { signal } = this.#uploads.closing;
    locks.request(`relay-sdk ${key}`, { signal }, action).catch((/** @type {unknown} */ error) => {
      if (signal.aborted) return;
      if (/** @type {Error} */ (error)?.name === "SecurityError") return action(); // the browser forbids this page locks
      this.#uploads.socket.report(error);
    });
  }

  /**
   * Wait so many seconds, or until there is a connection.
   *
   * @param {number} seconds
   * @param {AbortSignal} signal
   */
  async #wait(seconds, signal) {
    await new Promise((resolve) => {
      const timer = setTimeout(over, seconds * 1000);
      const end = this.#uploads.socket.on("state", (state) => state === "connected" && over());
      signal.addEventListener("abort", over, { once: true });
      function over() {
        clearTimeout(timer);
        end();
        signal.removeEventListener("abort", over);
        resolve(undefined);
      }
    });
    signal.throwIfAborted();
  }
}
