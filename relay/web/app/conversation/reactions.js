/** Reactions: what was given to a message, who gave it, and the choice of another one. */

import { pickEmoji } from "../emoji/picker.js";
import { button, element, icon, openDialog } from "../dom.js";
import { listed } from "../format.js";
import { may } from "../groups/may.js";
import { onLongPress } from "../long-press.js";
import { isTouch, openFloat } from "../menu.js";
import { avatar } from "../people/avatar.js";
import { counted, locale, words } from "../words.js";

/** @import { MessageView } from "../../sdk/index.js" */
/** @import { ConversationPane } from "./conversation.js" */

/** The emoji that are one press away. */
const QUICK = ["👍", "❤️", "😂", "😮", "😢", "🎉"];
const NUMBER = new Intl.NumberFormat(locale);
/** So many names are in a title; the dialog has all. */
const MAX_NAMED = 10;

/**
 * Draw the reactions of a message; null where it has none.
 *
 * @param {MessageView} message
 * @param {ConversationPane} pane
 */
export function drawReactions(message, pane) {
  const { reactions, messageId } = message;
  if (reactions.length === 0 || messageId === null) return null;
  return element(
    "div",
    { class: "reactions", role: "group", "aria-label": words.message.reactions },
    ...reactions.map(({ emoji, userIds, mine }) => {
      const given = `${emoji} ${NUMBER.format(userIds.length)}`;
      const label = words.message.reactedBy(given, named(userIds, pane));
      const pill = button(label, () => pane.toggleReaction(messageId, emoji, !mine), {
        sign: element("span", {}, given),
        class: "reaction",
        "aria-pressed": String(mine),
        disabled: !may(pane.view, "react"),
      });
      onLongPress(pill, () => (openReactions(message, pane), true));
      return pill;
    }),
  );
}

/** @param {readonly string[]} userIds @param {ConversationPane} pane */
function named(userIds, { names, messenger }) {
  const me = messenger.session.userId;
  const order = [...userIds].sort((one, other) => Number(other === me) - Number(one === me));
  const shown = order.slice(0, MAX_NAMED).map((id) => (id === me ? words.message.you : names.of(id)));
  const more = order.length - shown.length;
  return listed(more > 0 ? [...shown, counted(more, words.message.othersForms)] : shown);
}

/**
 * Open the list of who reacted, and how.
 *
 * @param {MessageView} message
 * @param {ConversationPane} pane
 */
export function openReactions({ reactions }, { names, messenger }) {
  const me = messenger.session.userId;
  const lines = reactions.flatMap(({ emoji, userIds }) =>
    userIds.map((id) => {
      const name = names.of(id);
      const who = element("span", { class: "name" }, element("bdi", {}, id === me ? words.message.you : name));
      return element("li", { class: "person" }, avatar(id, name), who, element("span", { class: "given" }, emoji));
    }),
  );
  openDialog(words.message.reactions, element("ul", { class: "people" }, ...lines));
}

/**
 * Let the user choose a reaction.
 *
 * @param {MessageView} message
 * @param {ConversationPane} pane
 * @param {Element} anchor
 */
export function react(message, pane, anchor) {
  if (isTouch()) return pickAny(message, pane, anchor);
  const float = openFloat(anchor, quickRow(message, pane, anchor, () => float.close()));
  /** @type {HTMLElement | null} */ (float.node.querySelector("button"))?.focus({ preventScroll: true });
}

/**
 * Draw the emoji that are one press away, and a button for all others.
 *
 * @param {MessageView} message
 * @param {ConversationPane} pane
 * @param {Element} anchor
 * @param {() => void} close
 */
export function quickRow(message, pane, anchor, close) {
  const picks = QUICK.map((emoji) => {
    const mine = message.reactions.some((one) => one.emoji === emoji && one.mine);
    const press = () => (close(), give(message, pane, emoji));
    return button(words.message.reactWith(emoji), press, { sign: emoji, class: "quiet", "aria-pressed": String(mine) });
  });
  const more = button(words.message.moreEmoji, () => (close(), void pickAny(message, pane, anchor)), { sign: icon("new"), class: "quiet" });
  return element("div", { class: "quick", role: "group", "aria-label": words.message.react, onkeydown: walk }, ...picks, more);
}

/** @param {KeyboardEvent} event */
function walk(event) {
  const all = /** @type {HTMLElement[]} */ ([.../** @type {HTMLElement} */ (event.currentTarget).children]);
  const now = all.indexOf(/** @type {HTMLElement} */ (document.activeElement));
  const right = getComputedStyle(all[0]).direction === "rtl" ? -1 : 1;
  const to = { ArrowRight: now + right, ArrowLeft: now - right, Home: 0, End: -1 }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  all.at(to % all.length)?.focus();
}

/** @param {MessageView} message @param {ConversationPane} pane @param {Element} anchor */
async function pickAny(message, pane, anchor) {
  const emoji = await pickEmoji(anchor);
  if (emoji) give(message, pane, emoji);
}

/** Give a reaction, or take it back. @param {MessageView} message @param {ConversationPane} pane @param {string} emoji */
function give({ key, messageId }, pane, emoji) {
  const now = pane.view.messages.find((one) => one.key === key); // it may have changed while one chose
  const mine = now?.reactions.some((one) => one.emoji === emoji && one.mine) ?? false;
  if (messageId !== null) pane.toggleReaction(messageId, emoji, !mine);
}
