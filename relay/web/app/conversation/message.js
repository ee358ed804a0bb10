/** One message, drawn as a line of its conversation. */

import { button, element } from "../dom.js";
import { clock, direction, hue, isolate, upright, wholeTime } from "../format.js";
import { avatar, quoteLine } from "../people/avatar.js";
import { drawUploading } from "../composer/uploading.js";
import { drawByPlugin } from "../plugins/plugins.js";
import { problem } from "../problems.js";
import { openPins } from "../threads/pins.js";
import { threadMarks } from "../threads/thread-line.js";
import { foldedMessage } from "../moderation/blocked.js";
import { drawReport } from "../moderation/report-card.js";
import { eventText, gist, isEvent, isTalk, stateText } from "../texts.js";
import { words } from "../words.js";
import { drawActions } from "./actions.js";
import { drawCard } from "./cards.js";
import { drawForwarded, forwardedFrom } from "./forward.js";
import "./own-actions.js";
import { drawReactions } from "./reactions.js";
import { growingText } from "./streaming.js";
import { offerActions } from "./toolbar.js";
import { drawWhisper, standing } from "./whispers.js";
import { drawWritten, endsOpen } from "./written.js";

/** @import { MessageView } from "../../sdk/index.js" */
/** @import { ConversationPane } from "./conversation.js" */

/**
 * @typedef {object} MessageLine
 * @property {MessageView} message
 * @property {boolean} first whether the message before is of another sender, or much older
 * @property {string} sender the sender's name
 * @property {boolean} [inGroup] whether it is drawn as in a group; what the pane says by default
 * @property {boolean} [folded] whether it is of a person whom this user blocks, and was not unfolded
 * @property {MessageView | null | undefined} quoted the message it answers: null until it is fetched, undefined if it cannot be seen
 * @property {number} names the version of the names it was drawn with; 0 if it shows no name but the sender's
 */

const SIGNS = { uploading: "↑", queued: "◷", sent: "✓", delivered: "✓✓", read: "✓✓", failed: "!", streaming: "…" };

/** The names that are in the line of a message, besides the sender's, make it be drawn anew when they are known. @param {MessageView} message */
export function showsNames(message) {
  const { payload, reactions } = message;
  return payload.reply_to !== undefined || payload.mentions?.length > 0 || forwardedFrom(payload) !== "" || reactions.length > 0 || !isTalk(message);
}

/**
 * Draw a message.
 *
 * @param {MessageLine} line
 * @param {ConversationPane} pane
 */
export function drawMessage(line, pane) {
  const { message, first } = line;
  const event = isEvent(message);
  const classes = ["message", message.mine && "mine", first && "first", `is-${message.state}`, event && "event", callsMe(message, pane) && "calls-me"];
  const inside = event ? [drawEvent(message, pane)] : talk(line, pane);
  const drawn = element(
    "li",
    { class: classes.filter(Boolean).join(" "), tabindex: -1, "data-key": message.key, "data-state": message.state },
    ...inside,
  );
  offerActions(drawn, message, pane);
  return drawn;
}

/** @param {MessageView} message @param {ConversationPane} pane */
function drawEvent(message, pane) {
  const pins = message.type === "pin_event" && button(words.threads.seePins, () => openPins(pane), { class: "link" });
  return element("p", {}, eventText(message, pane.names), " ", when(message), pins && " ", pins);
}

/** Tell whether a message mentions this user. @param {MessageView} message @param {ConversationPane} pane */
function callsMe({ payload, mine }, { messenger }) {
  return !mine && Boolean(payload.mentions?.some((/** @type {unknown} */ id) => id === messenger.session.userId || id === "*"));
}

/** @param {MessageLine} line @param {ConversationPane} pane */
function talk({ message, first, sender, quoted, inGroup, folded }, pane) {
  const { mine, payload } = message;
  const among = (inGroup ?? pane.isGroup) && !mine; // with avatar and name, as several users may be on this side
  const name = element("strong", { class: `sender ${hue(message.senderId)}` }, element("bdi", {}, sender));
  const spoken = element("span", { class: "hidden" }, mine ? words.message.spokenYou : words.message.spoken(isolate(sender)));
  const shown = folded ? [foldedMessage(message, pane.messenger)] : body(message, pane);
  const bubble = element("div", { class: "bubble" }, among && first ? name : spoken);
  if (payload.reply_to && !folded) bubble.append(quote(payload.reply_to, quoted, pane));
  bubble.append(...shown, foot(message, shown.at(-1)));
  const face = first ? avatar(message.senderId, sender) : element("span", { class: "avatar gone" });
  // By keyboard the same is among the message's actions.
  if (among && first) for (const one of [face, name]) one.addEventListener("click", () => pane.messenger.openPerson(message.senderId));
  return [
    element("div", { class: "row" }, among && face, bubble),
    drawReactions(message, pane),
    threadMarks(message, pane),
    failed(message, pane),
    ...standing(message.latest).map((value) => drawWhisper(value)),
  ];
}

/**
 * Draw the message that another one answers.
 *
 * @param {number} messageId
 * @param {MessageView | null | undefined} quoted null while it is not known, undefined where it cannot be seen
 * @param {ConversationPane} pane
 */
function quote(messageId, quoted, pane) {
  if (quoted === undefined) return element("blockquote", {}, words.message.quoteGone);
  const text = quoted ? gist(quoted, pane.names) : words.message.quoteLoading;
  const said = quoted ? quoteLine(pane.names.of(quoted.senderId), text) : [text];
  const go = () => /** @type {any} */ (pane.list).goToMessage?.(messageId);
  return element(
    "blockquote",
    { class: quoted ? hue(quoted.senderId) : null, dir: direction(text) },
    element("button", { type: "button", onclick: go, title: words.message.goToQuote(isolate(text)) }, element("span", {}, ...said)),
  );
}

/** @param {MessageView} message @param {ConversationPane} pane */
function body(message, pane) {
  const { deletedAt, state } = message;
  if (state === "streaming") return [growingText(message, pane)];
  if (deletedAt !== null) return [element("p", { class: "deleted" }, message.removed ? words.moderation.removed : words.message.deleted)];
  const shown = content(message, pane);
  const files = pane.files.drawAll(message, pane);
  if (files) shown.push(files);
  if (state === "uploading")
    shown.push(drawUploading(message, pane));
  shown.push(...drawActions(message, pane.messenger, pane.view.role));
  return shown;
}

/** @param {MessageView} message @param {ConversationPane} pane @returns {HTMLElement[]} */
function content(message, pane) {
  if (message.type === "report") return [drawReport(message, pane)];
  if (!isTalk(message)) return [drawByPlugin(message) ?? drawCard(message, pane.names)];
  const { attachments, content: text, command, invoked_by: by } = message.payload;
  if (!text && !attachments?.length && message.messageId !== null) return [element("p", { class: "deleted" }, words.message.notShown)];
  const used = command && by && element("p", { class: "used" }, words.message.used(isolate(pane.names.of(by)), upright(command)));
  return [drawForwarded(message, pane), used, text && drawWritten(message, pane)].filter(Boolean);
}

/** @param {MessageView} message */
function when({ timestamp }) {
  return element("time", { title: wholeTime(timestamp) }, clock(timestamp));
}

/**
 * Draw what stands at the end of a bubble: beside the last line of a text, if that line leaves room.
 *
 * @param {MessageView} message
 * @param {Element | undefined} last what stands before it
 */
function foot(message, last) {
  const { mine, payload, state, editedAt } = message;
  const changed = editedAt !== null ? words.message.edited : payload.interrupted ? words.message.interrupted : "";
  const sign =
    mine &&
    element(
      "span",
      { class: `state ${state}`, role: "img", "aria-label": stateText(message), title: stateText(message) },
      SIGNS[state],
    );
  const beside = last !== undefined && last.matches(".content") && endsOpen(last);
  // The style sheet keeps the room of this text free at the end of the paragraph.
  if (beside) /** @type {HTMLElement} */ (last.lastElementChild).dataset.foot = [changed, clock(message.timestamp), mine && SIGNS[state]].filter(Boolean).join(" ");
  return element("footer", { class: beside && "beside" }, changed && element("span", {}, changed), when(message), sign);
}

/** @param {MessageView} message @param {ConversationPane} pane */
function failed(message, pane) {
  const { id, error, state } = message;
  const why = error ? problem(error) : words.message.refused;
  if (state === "queued" && error) return element("p", { class: "failure", role: "status" }, words.message.waiting(why));
  if (state !== "failed" || id === null) return null;
  const again = () => void pane.messaging.retryMessage(id).catch(pane.failed);
  const discard = () => pane.messaging.discardMessage(id).catch(pane.failed);
  const { handBack } = /** @type {any} */ (pane.composer);
  const edit = () => {
    const files = message.files.flatMap(({ blob }) => blob ?? []);
    handBack.call(pane.composer, { text: message.payload.content ?? "", files, replyTo: message.payload.reply_to ?? null });
    void discard();
  };
  return element(
    "p",
    { class: "failure", role: "alert" },
    `${words.message.notSent(why)} `,
    mayHelp(error) && button(words.message.again, again, { class: "link" }),
    handBack && isTalk(message) && button(words.message.editAgain, edit, { class: "link" }),
    button(words.message.discard, () => void discard(), { class: "link" }),
  );
}

/** Tell whether sending the same once more may succeed: the server says so of its refusals. @param {Error | null} error */
function mayHelp(error) {
  return !error || !("retry" in error) || error.retry === true;
}
