/** A report in the moderators' conversation: the message as it was, who reported it and why, and what to do about it. */

import { button, element } from "../dom.js";
import { isolate, upright, wholeTime } from "../format.js";
import { counted, words } from "../words.js";
import { reasonText } from "./report-text.js";
import { openRemoval } from "./reporting.js";
import { openRestrict } from "./restrict-dialog.js";

/** @import { MessageView } from "../../sdk/index.js" */
/** @import { ConversationPane } from "../conversation/conversation.js" */

const texts = words.moderation;

/** @param {MessageView} view @returns {{ state: string, reports: number, by?: string, note?: string, removed?: boolean }} */
function stateOf({ latest }) {
  const newest = latest.filter(({ type }) => type === "report_state").at(-1);
  return /** @type {any} */ (newest?.payload ?? { state: "open", reports: 1 });
}

/** Draw a report. @param {MessageView} view @param {ConversationPane} pane */
export function drawReport(view, pane) {
  const { messenger, names } = pane;
  const { message, reason, text } = view.payload;
  if (!message) return element("p", { class: "deleted" }, texts.reportGone);
  const { state, reports, by, note, removed } = stateOf(view);
  const author = isolate(names.of(message.sender_id));
  const where = message.kind === "group" ? texts.saidInGroup(author, isolate(message.name || message.target_id)) : texts.saidTo(author, isolate(names.of(message.target_id)));
  const files = (message.payload.files ?? []).map((/** @type {{ name: string }} */ { name }) => element("li", {}, element("bdi", {}, name)));
  const body = message.payload.content ? element("p", { class: "said", dir: "auto" }, upright(message.payload.content)) : null;
  const closed = state !== "open" && texts.closed(/** @type {Record<string, string>} */ (texts.states)[state] ?? state, by ? isolate(names.of(by)) : "");
  return element(
    "div",
    { class: `report-card is-${state}` },
    element("p", { class: "kind" }, texts.cardTitle(reasonText(reason)), " · ", counted(reports, texts.reportCount)),
    element("blockquote", { class: "reported" }, element("p", { class: "about" }, where, " · ", element("time", {}, wholeTime(message.timestamp))), body, files.length > 0 && element("ul", {}, ...files)),
    text && element("p", { dir: "auto" }, upright(text)),
    removed && element("p", { class: "note" }, texts.isRemoved),
    closed && element("p", { class: "note" }, closed),
    note && element("p", { class: "note", dir: "auto" }, upright(note)),
    buttons(view, message.sender_id, state, Boolean(removed), pane, messenger),
  );
}

/**
 * @param {MessageView} view
 * @param {string} author
 * @param {string} state
 * @param {boolean} removed
 * @param {ConversationPane} pane
 * @param {import("../messenger.js").Messenger} messenger
 */
function buttons(view, author, state, removed, pane, messenger) {
  const path = `/api/admin/reports/${view.messageId}`;
  const close = (/** @type {string} */ to) => () =>
    void messenger.messaging.restApi.request("POST", path, { body: { state: to } }).catch(messenger.failed);
  if (state !== "open") return element("p", { class: "report-acts" }, button(texts.reopen, close("open"), { class: "link" }));
  const restrict = (/** @type {"timeout" | "ban"} */ kind) => () =>
    void openRestrict(messenger, kind, author, null).then((done) => done && messenger.notices.say(texts[kind].done(isolate(pane.names.of(author)))));
  return element(
    "p",
    { class: "report-acts" },
    !removed && button(texts.remove, () => void openRemoval(messenger, `${path}/remove`), { class: "danger" }),
    button(texts.timeout.short, restrict("timeout")),
    button(texts.ban.short, restrict("ban"), { class: "danger" }),
    button(texts.resolve, close("resolved"), { class: "primary" }),
    button(texts.dismiss, close("dismissed")),
  );
}
