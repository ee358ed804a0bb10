/** What floats over the list of messages: the day of what is in sight, and the ways down. */

import { button, element, fill, icon } from "../dom.js";
import { day, dayOf } from "../format.js";
import { counted, NUMBER, words } from "../words.js";
import { askDate } from "./dates.js";
import { firstUnread } from "./reading.js";

/** @import { ConversationView } from "../../sdk/index.js" */
/** @import { MessageList } from "./message-list.js" */

const DAY_MS = 1_500;

export class Jumps {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #shown = "";
  /** A time of the day that is told. */
  #timestamp = 0;

  /** @param {MessageList} list */
  constructor(list) {
    this.list = list;
    // The day's own line is for the keyboard and for screen readers.
    this.day = element("div", { class: "floating-day", "aria-hidden": "true" }, button("", () => askDate(list.pane, this.#timestamp), { tabindex: -1, class: "date" }));
    this.mentions = button(words.conversation.toMention, () => this.#toMention(), { sign: icon("mention"), class: "jump", hidden: true });
    this.latest = button(words.conversation.toLatest, () => this.#toLatest(), { sign: icon("down"), class: "jump", hidden: true });
    this.nodes = [this.day, element("div", { class: "jumps" }, this.mentions, this.latest)];
  }

  /** Draw the ways down. @param {ConversationView} view */
  show({ unread, unreadMentions }) {
    const { follows } = this.list;
    const shown = `${follows} ${unread} ${unreadMentions}`;
    if (shown === this.#shown) return;
    this.#shown = shown;
    if (follows && this.mentions.parentElement?.contains(document.activeElement)) this.list.scroller.focus({ preventScroll: true });
    this.latest.hidden = follows;
    this.mentions.hidden = follows || unreadMentions === 0;
    label(this.latest, icon("down"), unread, words.conversation.toLatest, words.conversation.toLatestNew);
    label(this.mentions, icon("mention"), unreadMentions, words.conversation.toMention, words.conversation.toMentions);
  }

  /** Tell the day of the first line in sight, for a while. */
  scrolled() {
    const { list } = this;
    const [first, last] = list.inSight();
    let at = first;
    while (at <= last && list.all[at]?.kind !== "message") at += 1;
    const line = list.all[at];
    const isTold = list.all.slice(first, first + 2).some(({ kind }) => kind === "day"); // the day's own line is there
    this.day.classList.toggle("told", line?.kind === "message" && !isTold && !list.follows);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.day.classList.remove("told"), DAY_MS);
    if (line?.kind !== "message" || (this.#timestamp && dayOf(line.message.timestamp) === dayOf(this.#timestamp))) return;
    this.#timestamp = line.message.timestamp;
    fill(/** @type {Element} */ (this.day.firstElementChild), day(this.#timestamp));
  }

  close() {
    clearTimeout(this.#timer);
  }

  #toLatest() {
    this.list.pane.toLatest();
    this.list.scroller.focus({ preventScroll: true });
  }

  #toMention() {
    const { pane } = this.list;
    const me = pane.messenger.session.userId;
    const mention = firstUnread(pane.view, ({ payload }) => Array.isArray(payload.mentions) && (payload.mentions.includes(me) || payload.mentions.includes("*")));
    void pane.goTo(mention?.seq ?? pane.view.readSeq + 1);
  }
}

/**
 * Draw a round button with a count.
 *
 * @param {HTMLElement} place
 * @param {Node} sign
 * @param {number} count
 * @param {string} none its name without a count
 * @param {{ one: string, other: string }} some
 */
function label(place, sign, count, none, some) {
  const name = count > 0 ? counted(count, some) : none;
  place.setAttribute("aria-label", name);
  place.title = name;
  fill(place, sign, count > 0 && element("b", { class: "count", "aria-hidden": "true" }, count > 999 ? "999+" : NUMBER.format(count)));
}
