/** One message, drawn as a line of its conversation. */

import { drawActions, mayClose } from "./actions.js";
import { avatar, quoteLine } from "./avatar.js";
import { drawCard } from "./cards.js";
import { button, element, icon } from "./dom.js";
import { clock, day, direction, hue, isolate, listed, upright, wholeTime } from "./format.js";
import { parts } from "./links.js";
import { drawByPlugin, messageActions } from "./plugins.js";
import { growingText } from "./streaming.js";
import { eventText, gist, isTalk, stateText } from "./texts.js";
import { drawWhisper, whispersIn } from "./whispers.js";

/** @import { MessageView } from "../sdk/index.js" */
/** @import { ConversationPane } from "./conversation.js" */

/**
 * @typedef {object} MessageLine
 * @property {MessageView} message
 * @property {boolean} first whether the message before is of another sender, or much older
 * @property {boolean} newDay whether it is the first message of its day
 * @property {boolean} newHere whether it was the first unread message when the conversation was opened
 * @property {string} sender the sender's name
 * @property {MessageView | null} quoted the message it answers, where that is loaded
 * @property {number} names the version of the names it was drawn with; 0 if it shows no name but the sender's
 */

const EMOJI = ["👍", "❤️", "😂", "😮", "😢", "🎉"];
const SIGNS = { uploading: "↑", queued: "◷", sent: "✓", delivered: "✓✓", read: "✓✓", failed: "!", streaming: "…" };

/**
 * Draw a message.
 *
 * @param {MessageLine} line
 * @param {ConversationPane} pane
 */
export function drawMessage(line, pane) {
  const { message, first, newDay, newHere } = line;
  const above = [
    newDay && element("div", { class: "day" }, element("span", {}, day(message.timestamp))),
    newHere && element("div", { class: "new" }, element("span", {}, "New")),
  ];
  const isEvent = message.type === "group_event";
  const classes = ["message", message.mine && "mine", first && "first", `is-${message.state}`, isEvent && "event"]
    .filter(Boolean)
    .join(" ");
  const inside = isEvent ? [element("p", {}, eventText(message, pane.names), " ", when(message))] : talk(line, pane);
  return element(
    "li",
    { class: classes, tabindex: -1, "data-key": message.key, "data-state": message.state },
    ...above,
    ...inside,
  );
}

/** @param {MessageLine} line @param {ConversationPane} pane */
function talk({ message, first, sender, quoted }, pane) {
  const { mine, payload, deletedAt } = message;
  const among = pane.isGroup && !mine; // with avatar and name, as several users may be on this side
  const name = element("strong", { class: `sender ${hue(message.senderId)}` }, element("bdi", {}, sender));
  const spoken = element("span", { class: "hidden" }, mine ? "You: " : `${isolate(sender)}: `);
  const bubble = element("div", { class: "bubble" }, among && first ? name : spoken);
  if (payload.reply_to) bubble.append(quote(quoted, pane));
  bubble.append(...body(message, pane), foot(message));
  const face = first ? avatar(message.senderId, sender) : element("span", { class: "avatar gone" });
  return [
    element("div", { class: "row" }, among && face, bubble, deletedAt === null && actions(message, pane)),
    reactions(message, pane),
    failed(message, pane),
    ...whispersIn(message.latest).map(drawWhisper),
  ];
}

/** @param {MessageView | null} quoted @param {ConversationPane} pane */
function quote(quoted, pane) {
  if (!quoted) return element("blockquote", {}, "An earlier message");
  const text = gist(quoted, pane.names);
  return element("blockquote", { dir: direction(text) }, ...quoteLine(pane.names.of(quoted.senderId), text));
}

/** @param {MessageView} message @param {ConversationPane} pane */
function body(message, pane) {
  const { payload, deletedAt, state, progress } = message;
  if (state === "streaming") return [growingText(message, pane)];
  if (deletedAt !== null) return [element("p", { class: "deleted" }, "This message was deleted.")];
  const shown = content(message, pane);
  const files = (payload.attachments ?? []).filter((/** @type {unknown} */ id) => typeof id === "string");
  for (const id of files) shown.push(pane.files.draw(id, pane.list.grown));
  if (state === "uploading")
    shown.push(element("progress", { max: 1, value: progress ?? 0, "aria-label": "Uploading" }));
  shown.push(...drawActions(message, pane.messenger, pane.view.role));
  return shown;
}

/** @param {MessageView} message @param {ConversationPane} pane @returns {HTMLElement[]} */
function content(message, pane) {
  if (!isTalk(message)) return [drawByPlugin(message) ?? drawCard(message, pane.names)];
  const { attachments, content: text, command, invoked_by: by } = message.payload;
  if (!text && !attachments?.length && message.messageId !== null) return [element("p", { class: "deleted" }, "This message cannot be shown now.")];
  const used = command && by && element("p", { class: "used" }, `${isolate(pane.names.of(by))} used /${upright(command)}`);
  return [used, text && element("p", { class: "content", dir: "auto" }, ...linked(upright(text)))].filter(Boolean);
}

/** @param {string} text */
function linked(text) {
  return parts(text).map(({ text: part, link }) =>
    link ? element("a", { href: part, target: "_blank", rel: "noopener noreferrer" }, part) : part,
  );
}

/** @param {MessageView} message */
function when({ timestamp }) {
  return element("time", { title: wholeTime(timestamp) }, clock(timestamp));
}

/** @param {MessageView} message */
function foot(message) {
  const { mine, payload, state, editedAt } = message;
  const changed = editedAt !== null ? "edited" : payload.interrupted ? "interrupted" : false;
  const sign =
    mine &&
    element(
      "span",
      { class: `state ${state}`, role: "img", "aria-label": stateText(message), title: stateText(message) },
      SIGNS[state],
    );
  return element("footer", {}, changed, when(message), sign);
}

/** @param {MessageView} message @param {ConversationPane} pane */
function failed({ id, error, state }, pane) {
  if (state === "queued" && error) {
    return element("p", { class: "failure", role: "status" }, `Not sent yet: ${error.message}. It is sent again by itself.`);
  }
  if (state !== "failed" || id === null) return null;
  const again = button("Try again", () => pane.messaging.retryMessage(id).catch(pane.failed), { class: "link" });
  const drop = button("Discard", () => pane.messaging.discardMessage(id).catch(pane.failed), { class: "link" });
  return element(
    "p",
    { class: "failure", role: "alert" },
    `Not sent: ${error?.message ?? "it was refused"} `,
    again,
    drop,
  );
}

/** @param {MessageView} message @param {ConversationPane} pane */
function reactions({ reactions: given, messageId }, pane) {
  if (given.length === 0 || messageId === null) return null;
  return element(
    "div",
    { class: "reactions" },
    ...given.map(({ emoji, userIds, mine }) => {
      const label = `${emoji} by ${listed(userIds.map((id) => pane.names.of(id)))}`;
      const sign = `${emoji} ${userIds.length}`;
      return button(label, () => pane.toggleReaction(messageId, emoji, !mine), {
        sign,
        class: "reaction",
        "aria-pressed": String(mine),
      });
    }),
  );
}

/** @param {MessageView} message @param {ConversationPane} pane */
function actions(message, pane) {
  const { key, messageId, mine, reactions: given } = message;
  if (messageId === null) return null;
  const react = (/** @type {string} */ emoji) => {
    const on = !given.some((one) => one.emoji === emoji && one.mine);
    const press = () => {
      toggle(false);
      pane.toggleReaction(messageId, emoji, on);
    };
    return button(`React ${emoji}`, press, { sign: emoji, class: "quiet" });
  };
  const toggle = (/** @type {boolean} */ shown) => {
    pane.picking = shown ? key : null; // the line may be drawn anew while it is open
    picker.hidden = !shown;
    open.setAttribute("aria-expanded", String(shown));
  };
  const picks = pane.picking === key;
  const picker = element("span", { class: "picker", hidden: !picks }, ...EMOJI.map(react));
  const open = button("React", () => toggle(picker.hidden), {
    sign: icon("react"),
    class: "quiet",
    "aria-expanded": String(picks),
  });
  return element(
    "div",
    { class: "actions" },
    picker,
    open,
    button("Reply", () => pane.composer.reply(message), { sign: icon("reply"), class: "quiet" }),
    ...messageActions(message).map(({ label, sign, press }) => button(label, press, { sign, class: "quiet" })),
    mine && isTalk(message) && button("Edit", () => pane.composer.edit(message), { sign: icon("edit"), class: "quiet" }),
    mayClose(message, pane.view.role) && button("Close its actions", () => pane.closeActions(messageId), { sign: "⊘", class: "quiet" }),
    mine && button("Delete", () => void pane.remove(message), { sign: icon("delete"), class: "quiet" }),
  );
}
