/**
 * A streamed message on its sender's side: pieces while it is written, and one stored message at its end.
 *
 * Contract:
 *     The end goes through the outbox, like any message: it is stored once, over reconnects and reloads. Pieces may be
 *     lost; the server tells from where to go on.
 *     Written text is gathered: one piece is on its way at a time, at most ten leave in a second.
 */

import { check } from "../checks.js";
import { Deferred } from "../deferred.js";
import { RelayError } from "../errors.js";
import { generateUniqueId } from "../ids.js";
import { echo } from "./stream-echo.js";

/**
 * @import { AckPayload } from "../types.js"
 * @import { SocketManager } from "../socket-manager.js"
 */

/**
 * @typedef {object} StreamOptions
 * @property {number} [replyTo] the message id of the message it answers
 * @property {string} [id] its own id, at most 59 characters; a new one by default
 *
 * @typedef {object} StreamEnd
 * @property {string[]} [attachments] ids of attachments
 * @property {string[]} [mentions]
 * @property {Record<string, unknown>} [extra]
 * @property {boolean} [interrupted] whether the writer did not come to the end
 *
 * @typedef {AsyncIterable<string | Uint8Array> | ReadableStream<string | Uint8Array>} TextSource
 */

const TYPE = "message_stream";
const PIECE_MS = 100;
/** The longest silence: the server ends a stream after half a minute without a piece. */
const ALIVE_MS = 10_000;
/** Refusals of pieces that do not touch the end: the server does not stream, or not any more. */
const NOT_STREAMED = ["unknown_type", "plugin_failed", "conflict"];

export class MessageStream {
  #messaging;
  #target;
  #replyTo;
  #text = "";
  /** How many characters the server has: code points, as it counts. */
  #sent = 0;
  #types = ["chat_message", "group_message"];
  #over = false;
  /** @type {RelayError | null} why the server refuses the text */
  #failure = null;
  #written = new Deferred();

  /** @param {{ socketManager: SocketManager }} messaging @param {string} target @param {StreamOptions} options */
  constructor(messaging, target, { replyTo, id = generateUniqueId() } = {}) {
    check({ target, id }, { replyTo });
    this.#messaging = messaging;
    this.#target = target;
    this.#replyTo = replyTo;
    this.id = id;
    void this.#run();
  }

  /** Add to the text; it is sent a moment later, with what is written meanwhile. @param {string} text */
  async write(text) {
    check({ text });
    if (this.#over) throw new TypeError("this stream is over");
    this.#text += text;
    this.#written.resolve(undefined);
    if (!this.#failure) this.#echo({ text: this.#text });
  }

  /**
   * Write all of a source's texts (bytes are read as UTF-8), and end; if the source fails, what there is is marked as
   * interrupted.
   *
   * @param {TextSource} source
   */
  async pipe(source) {
    const decoder = new TextDecoder();
    try {
      for await (const chunk of chunksOf(source)) {
        await this.write(typeof chunk === "string" ? chunk : decoder.decode(chunk, { stream: true }));
        if (this.#failure) throw this.#failure;
      }
    } catch (fault) {
      if (!this.#failure) await this.end({ interrupted: true }).catch(() => {});
      throw fault;
    }
    return this.end();
  }

  /**
   * Store the whole text as one message, and return its ack; an empty text leaves nothing, and null. Where the server has
   * stored a part of it already, since nothing was heard of this client for too long, that message is edited.
   *
   * @param {StreamEnd} [more]
   * @returns {Promise<AckPayload | null>}
   */
  async end({ attachments, mentions, extra, interrupted } = {}) {
    check({}, { attachments, mentions, extra });
    if (!this.#text && !attachments?.length && !extra) {
      await this.cancel();
      return null;
    }
    this.#over = true;
    this.#written.resolve(undefined);
    if (this.#failure) throw this.#failure;
    const payload = { content: this.#text, reply_to: this.#replyTo, attachments, mentions, extra, interrupted };
    for (const type of this.#types) {
      const ack = await this.#store(type, payload, type === this.#types.at(-1));
      if (ack) return ack;
    }
    return null;
  }

  /** End without a message; readers see the text go. */
  async cancel() {
    this.#over = true;
    this.#written.resolve(undefined);
    this.#echo({ cancelled: true });
    await this.#send({ cancelled: true }).catch(() => {}); // the server forgets it by itself
  }

  /**
   * Store the text as a message of a type; null where the target is of the other kind.
   *
   * @param {string} type
   * @param {{ content: string, mentions: string[] | undefined }} payload
   * @param {boolean} last
   * @returns {Promise<AckPayload | null>}
   */
  async #store(type, payload, last) {
    const { socketManager: socket } = this.#messaging;
    try {
      return await socket.sendMessage(type, /** @type {any} */ (payload), this.#target, { id: this.id });
    } catch (cause) {
      const error = /** @type {any} */ (cause);
      const stored = error.code === "conflict" && error.details?.message_id;
      if (!stored && (error.code !== "invalid_payload" || last)) throw error;
      socket.outbox.discard(this.id);
      if (!stored) return null;
      const { content, mentions } = payload;
      const edit = { message_id: stored, content, mentions };
      const { seq: _, ...ack } = await socket.sendMessage("message_edit", /** @type {any} */ (edit), this.#target, { id: `${this.id}-edit` });
      return { ...ack, message_id: stored };
    }
  }

  /** Send what was written, piece by piece, until the stream is over. */
  async #run() {
    while (!this.#over) {
      try {
        await this.#messaging.socketManager.ready();
        if (this.#over) return;
        const ack = await this.#piece();
        this.#sent = Number(ack.offset);
        this.#types = [String(ack.type)];
        await this.#gather();
      } catch (error) {
        if (!(await this.#goesOn(error))) return;
      }
    }
  }

  #piece() {
    const text = [...this.#text.replace(/[\ud800-\udbff]$/, "")].slice(this.#sent).join(""); // half a character waits for the other half
    return this.#send({ offset: this.#sent, text, ...(this.#sent === 0 && { reply_to: this.#replyTo }) });
  }

  /** Wait until there is something to send: text, or after a while a sign of life. */
  async #gather() {
    await pause(PIECE_MS);
    if (this.#over || this.#sent < [...this.#text].length) return;
    this.#written = new Deferred();
    /** @type {any} */
    let timer;
    const alive = new Promise((resolve) => (timer = setTimeout(resolve, ALIVE_MS)));
    await Promise.race([this.#written.promise, alive]);
    clearTimeout(timer);
  }

  /** Take what ended a piece, and tell whether to send another one. @param {unknown} error */
  async #goesOn(error) {
    if (!(error instanceof RelayError)) return false; // disconnected: the end waits in the outbox
    const { code, retry, retryAfter, details } = error;
    if (details?.offset !== undefined) this.#sent = Number(details.offset);
    else if (details?.reason === "slow_mode") return false; // the end waits in the outbox
    else if (retry) await pause(retryAfter === undefined ? PIECE_MS : retryAfter * 1000);
    else if (NOT_STREAMED.includes(code)) return false;
    else {
      this.#failure = error;
      this.#echo({ cancelled: true });
      return false;
    }
    return true;
  }

  /** @param {object} piece @returns {Promise<AckPayload>} */
  async #send(piece) {
    return this.#messaging.socketManager.sendMessage(TYPE, { stream_id: this.id, ...piece }, this.#target, { keep: false });
  }

  /** Show it to the stores of this page: the server sends a device no pieces of its own. @param {object} piece */
  #echo(piece) {
    const reply = this.#replyTo === undefined ? {} : { reply_to: this.#replyTo };
    const { userId } = this.#messaging.socketManager;
    const meta = { sender_id: userId ?? "", target_id: this.#target, timestamp: Date.now() / 1000 };
    if (userId) echo(this.#messaging, { type: TYPE, payload: { stream_id: this.id, offset: 0, ...reply, ...piece }, meta });
  }
}

/** @param {number} ms */
function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** @param {TextSource} source @returns {AsyncGenerator<string | Uint8Array>} */
async function* chunksOf(source) {
  if (Symbol.asyncIterator in source) return yield* source;
  const reader = /** @type {ReadableStream<string | Uint8Array>} */ (source).getReader(); // Safari's is not iterable
  for (let part = await reader.read(); !part.done; part = await reader.read()) yield part.value;
}
