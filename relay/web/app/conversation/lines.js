/** The lines of a conversation: its messages, and what stands between them. */

import { dayOf } from "../format.js";
import { isEvent, isTalk } from "../texts.js";
import { nameOf, standing } from "./whispers.js";

/** @import { ConversationView, MessageView } from "../../sdk/index.js" */
/** @import { LatestView } from "../../sdk/store/latest.js" */

/** @typedef {{ fromSeq: number, toSeq: number }} Gap */

/**
 * What a list of messages draws as a line of its own.
 *
 * @typedef {{ key: string, height: number, guess: number } & (
 *   | { kind: "message", message: MessageView, first: boolean }
 *   | { kind: "day", timestamp: number }
 *   | { kind: "new" }
 *   | { kind: "older" }
 *   | { kind: "gap", gap: Gap }
 *   | { kind: "whisper", whisper: LatestView }
 * )} Line
 */

const PAUSE_SECONDS = 300;
const LETTERS_A_LINE = 60;
const GUESS = { day: 50, new: 34, missing: 44, line: 22, bubble: 20, first: 28, file: 60, card: 80 };

/**
 * @typedef {object} Made the lines of a message
 * @property {MessageView} message
 * @property {MessageView | undefined} last the message before it
 * @property {Line[]} lines
 * @property {number} place how many messages were before it
 */

export class Lines {
  /** Those of the messages that there are, in order. @type {readonly Made[]} */
  #made = [];
  /** @type {WeakMap<MessageView, Made>} */
  #known = new WeakMap();
  /** Lines of other kinds, which stay the same objects while they are there. @type {Map<string, Line>} */
  #others = new Map();
  /** The lines as they are. @type {Line[]} */
  all = [];

  /**
   * Make the lines of a conversation. A line is the same object as long as it shows the same.
   *
   * @param {ConversationView} view
   * @param {string | null} newKey the key of the message above which "New" stands
   */
  of({ messages, gaps, hasOlder, whispers }, newKey) {
    /** @type {Line[]} */
    const lines = [];
    const others = this.#others;
    this.#others = new Map();
    /** @param {Line} line */
    const add = (line) => {
      const same = others.get(line.key) ?? line;
      if (same.kind === "gap" && line.kind === "gap") same.gap = line.gap; // it shrinks from above, too
      this.#others.set(line.key, same);
      lines.push(same);
    };
    if (hasOlder) add({ kind: "older", key: "older", height: 0, guess: GUESS.missing });
    /** @type {MessageView | undefined} */
    let last;
    let nextGap = 0;
    const before = this.#made;
    /** @type {Made[]} */
    const made = [];
    // Where the message is that followed the last one before: mostly it still does, and is found without a look into the map.
    let next = 0;
    for (const message of messages) {
      const gap = gaps[nextGap];
      if (gap && message.seq !== null && gap.toSeq < message.seq) {
        nextGap += 1;
        if (last) add({ kind: "gap", gap, key: `gap:${gap.toSeq}`, height: 0, guess: GUESS.missing });
      }
      const known = before[next]?.message === message ? before[next] : this.#known.get(message);
      if (known) next = known.place + 1;
      const one = this.#linesOf(message, last, known);
      one.place = made.length;
      made.push(one);
      if (one.lines.length > 1) lines.push(one.lines[0]);
      if (message.key === newKey) add({ kind: "new", key: "new", height: 0, guess: GUESS.new });
      lines.push(one.lines[one.lines.length - 1]);
      last = message;
    }
    this.#made = made;
    for (const whisper of standing(whispers)) {
      add({ kind: "whisper", whisper, key: `whisper:${nameOf(whisper)}`, height: 0, guess: GUESS.card });
    }
    this.all = lines;
  }

  /**
   * Return the lines between the gaps around one of them, these gaps included; those after the last gap for none.
   *
   * @param {string | null} key
   * @returns {readonly Line[]}
   */
  around(key) {
    const { all } = this;
    const at = key === null ? -1 : all.findIndex((line) => line.key === key);
    let from = at < 0 ? all.length - 1 : at;
    let to = Math.max(0, from);
    while (from > 0 && all[from].kind !== "gap") from -= 1;
    while (to < all.length && all[to].kind !== "gap") to += 1;
    return from > 0 || to < all.length ? all.slice(Math.max(0, from), to + 1) : all;
  }

  /** @param {MessageView} message @param {MessageView | undefined} last @param {Made | undefined} known @returns {Made} */
  #linesOf(message, last, known) {
    if (known && known.last === last) return known;
    const { key, senderId, timestamp, type } = message;
    const newDay = !last || dayOf(last.timestamp) !== dayOf(timestamp);
    const goesOn = last?.senderId === senderId && last.type === type && Math.abs(timestamp - last.timestamp) < PAUSE_SECONDS;
    const first = !goesOn || newDay;
    const before = known?.lines.at(-1);
    /** @type {Line} */
    const line = before?.kind === "message" && before.first === first
      ? before
      : { kind: "message", message, first, key, height: 0, guess: guessOf(message, first) };
    /** @type {Line[]} */
    const lines = newDay ? [{ kind: "day", timestamp, key: `day:${key}`, height: 0, guess: GUESS.day }, line] : [line];
    const made = { message, last, lines, place: 0 };
    this.#known.set(message, made);
    return made;
  }
}

/** Return about how high a message is, in pixels: it is measured when it is drawn. @param {MessageView} message @param {boolean} first */
function guessOf(message, first) {
  const { payload, reactions } = message;
  if (isEvent(message)) return 36;
  if (!isTalk(message)) return GUESS.card;
  const text = typeof payload.content === "string" ? payload.content : "";
  let rows = 0;
  for (const part of text.split("\n", 50)) rows += Math.max(1, Math.ceil(part.length / LETTERS_A_LINE));
  const more = (payload.reply_to ? 40 : 0) + (reactions.length > 0 ? 28 : 0) + (payload.attachments?.length ?? 0) * GUESS.file;
  return GUESS.bubble + Math.max(1, rows) * GUESS.line + (first ? GUESS.first : 0) + more;
}
