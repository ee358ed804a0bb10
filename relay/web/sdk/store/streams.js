/** Messages that are being streamed: their texts so far, made of pieces that may be lost, and are never stored. */

/** @import { Envelope } from "../types.js" */
/** @import { MessageView } from "./views.js" */

/** The server passes on a sign of life at least every ten seconds or so. After this time its end was lost. */
const LOST_SECONDS = 45;
/** So long after a replay the server has told of every stream that still goes on. */
const TOLD_SECONDS = 3;

/**
 * @typedef {object} Stream
 * @property {MessageView} view
 * @property {string} text
 * @property {ReturnType<typeof setTimeout>} [timer]
 */

export class Streams {
  /** @type {Map<string, Map<string, Stream>>} by conversation, and by the key of the message */
  #streams = new Map();
  #changed;
  #missing;

  /**
   * @param {(key: string, name: string) => void} changed called with the conversation and the message's own key
   * @param {(key: string) => void} missing called when a piece is missing
   */
  constructor(changed, missing) {
    this.#changed = changed;
    this.#missing = missing;
  }

  /** Return the views of a conversation's, the first one begun first. @param {string} key */
  views(key) {
    return [...(this.#streams.get(key)?.values() ?? [])].map(({ view }) => view);
  }

  /**
   * Take a piece.
   *
   * @param {string} key the conversation
   * @param {string} name the message's own key, which it keeps once it is stored
   * @param {Envelope<any>} envelope
   * @param {{ mine: boolean, type: string }} more type: of the message at its end
   */
  take(key, name, { payload, meta }, { mine, type }) {
    const { offset = 0, text = "", reply_to, cancelled } = payload;
    if (cancelled) return this.end(key, name);
    const known = this.#streams.get(key)?.get(name);
    // Characters are code points, of which a text without surrogates has as many as it has UTF-16 units.
    const before = !known ? [] : /[\ud800-\udfff]/.test(known.text) ? [...known.text] : known.text;
    if (offset > before.length) return this.#missing(key);
    const kept = before.slice(0, offset);
    const whole = (typeof kept === "string" ? kept : kept.join("")) + text;
    const reply = offset === 0 ? reply_to : known?.view.payload.reply_to;
    const { timestamp } = known?.view ?? meta;
    this.#set(key, name, whole, Object.freeze({
      key: name, conversation: key, messageId: null, seq: null, id: payload.stream_id, type, senderId: meta.sender_id ?? "", mine,
      payload: Object.freeze({ content: whole, ...(reply !== undefined && { reply_to: reply }) }),
      timestamp: timestamp ?? 0, editedAt: null, deletedAt: null, removed: false, expiresAt: null, reactions: [], latest: [],
      saved: false, actions: null, thread: null, pinned: false,
      files: [], state: "streaming", pending: false, error: null, progress: null,
    }));
  }

  /** Forget one that is over. @param {string} key @param {string} name */
  end(key, name) {
    const here = this.#streams.get(key);
    const known = here?.get(name);
    if (!here || !known) return;
    clearTimeout(known.timer);
    here.delete(name);
    if (here.size === 0) this.#streams.delete(key);
    this.#changed(key, name);
  }

  /** After a replay, forget those that the server does not tell of again. */
  synced() {
    for (const [key, here] of this.#streams) for (const name of here.keys()) this.#await(key, name, TOLD_SECONDS);
  }

  /** Forget all. */
  clear() {
    for (const [key, here] of [...this.#streams]) for (const name of [...here.keys()]) this.end(key, name);
  }

  /** @param {string} key @param {string} name @param {string} text @param {MessageView} view */
  #set(key, name, text, view) {
    const here = this.#streams.get(key) ?? new Map();
    const known = here.get(name);
    const same = known?.text === text && known.view.payload.reply_to === view.payload.reply_to;
    here.set(name, same ? known : { view, text, timer: known?.timer });
    this.#streams.set(key, here);
    this.#await(key, name, LOST_SECONDS);
    if (!same) this.#changed(key, name);
  }

  /** @param {string} key @param {string} name @param {number} seconds */
  #await(key, name, seconds) {
    const stream = this.#streams.get(key)?.get(name);
    if (!stream) return;
    clearTimeout(stream.timer);
    stream.timer = setTimeout(() => this.end(key, name), seconds * 1000);
  }
}
