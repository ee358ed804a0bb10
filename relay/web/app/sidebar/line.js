/** One line of the list of conversations. */

import { element, icon } from "../dom.js";
import { direction, shortly, wholeTime } from "../format.js";
import { avatar, quoteLine } from "../people/avatar.js";
import { preview, statusText } from "../texts.js";
import { counted, words } from "../words.js";
import { isMuted } from "./line-menu.js";

/** @import { ConversationSummary } from "../../sdk/index.js" */
/** @import { Presence } from "../../sdk/types.js" */
/** @import { Messenger } from "../messenger.js" */

/**
 * @typedef {object} Line
 * @property {ConversationSummary} summary
 * @property {string} name
 * @property {"" | "draft" | "typing"} sort of what the text is, if it is no message
 * @property {string} who
 * @property {string} text
 * @property {Presence} status
 * @property {boolean} open
 * @property {boolean} muted
 * @property {string} day so that "yesterday" is right after midnight
 */

/** The largest count that is told exactly. */
const MOST = 999;

/**
 * Return what a line shows.
 *
 * @param {ConversationSummary} summary
 * @param {Messenger} messenger
 * @param {string} openId the conversation that is open
 * @returns {Line}
 */
export function lineOf(summary, messenger, openId) {
  const { store, names } = messenger;
  const open = summary.target === openId;
  const [sort, who, text] = said(summary, messenger, open);
  const status = summary.kind === "user" ? store.presence(summary.target).status : "unknown";
  const day = new Date().toDateString();
  return { summary, name: names.title(summary), sort, who, text, status, open, muted: isMuted(messenger, summary.target), day };
}

/** @param {Line} one @param {Line} other */
export function isSame(one, other) {
  return /** @type {(keyof Line)[]} */ (Object.keys(one)).every((key) => one[key] === other[key]);
}

/**
 * Return what stands below the name: who types, else the draft of a conversation that is not open, else the newest message.
 *
 * @param {ConversationSummary} summary
 * @param {Messenger} messenger
 * @param {boolean} open
 * @returns {[sort: Line["sort"], who: string, text: string]}
 */
function said(summary, { names }, open) {
  const { typing, kind } = summary;
  if (typing.length > 1) return ["typing", "", words.sidebar.typingMany];
  if (typing.length > 0) return ["typing", "", kind === "group" ? words.sidebar.typingOne(names.of(typing[0])) : words.sidebar.typing];
  const { draft } = /** @type {{ draft?: { text: string } | null }} */ (summary);
  if (draft && !open) return ["draft", words.sidebar.draft, draft.text.trim() || "…"];
  return ["", ...preview(summary, names)];
}

/**
 * Draw a line.
 *
 * @param {Line} line
 * @param {(at: HTMLElement) => void} menu opens the conversation's menu
 */
export function drawLine(line, menu) {
  const { summary, name, sort, who, text, status, open, muted } = line;
  const { target: id, kind, lastMessage, unread, markedUnread, pinned } = summary;
  const news = (unread > 0 || markedUnread) && "news";
  const more = element(
    "button",
    {
      type: "button", class: "line-menu", tabindex: "-1", "aria-haspopup": "menu",
      "aria-label": words.sidebar.more(name), title: words.sidebar.more(name), onclick: () => menu(more),
    },
    icon("more"),
  );
  const link = element(
    "a",
    {
      href: `#/${encodeURIComponent(id)}`, "aria-current": open && "page", tabindex: "-1",
      class: [kind === "group" && "group", news, muted && "muted"].filter(Boolean).join(" "),
    },
    avatar(id, name, status),
    element(
      "span",
      { class: "head" },
      element("strong", {}, element("bdi", {}, name)),
      spoken(summary, status),
      muted && sign("mute", words.sidebar.muted),
      pinned > 0 && sign("pin", words.sidebar.pinned),
      lastMessage && element("time", { title: wholeTime(lastMessage.timestamp) }, shortly(lastMessage.timestamp)),
    ),
    element(
      "span",
      { class: "foot" },
      element("span", { class: `gist ${sort}`, dir: direction(text) }, ...(sort === "draft" ? drafted(who, text) : quoteLine(who, text))),
      ...badges(summary, muted),
    ),
  );
  return element("li", { class: "line" }, link, more);
}

/** @param {string} who @param {string} text */
function drafted(who, text) {
  return [element("em", {}, `${who}: `), element("bdi", {}, text)];
}

/** What readers who do not see pictures are told of them. @param {ConversationSummary} summary @param {Presence} status */
function spoken({ target: userId, kind }, status) {
  const told = kind === "group" ? words.sidebar.group : statusText({ userId, status, text: null, until: null, lastSeen: null });
  return told && element("span", { class: "hidden" }, ` ${told} `);
}

/** @param {string} name @param {string} label */
function sign(name, label) {
  return element("span", { class: "sign", title: label }, icon(name), element("span", { class: "hidden" }, ` ${label} `));
}

/** @param {ConversationSummary} summary @param {boolean} muted */
function badges({ unread, unreadMentions, markedUnread }, muted) {
  const quiet = muted ? "badge quiet-badge" : "badge";
  if (unread === 0 && markedUnread) return [element("span", { class: `${quiet} flag` }, hidden(words.sidebar.markedUnread))];
  if (unread === 0) return [];
  const mention = unreadMentions > 0 && element("span", { class: "badge at", title: counted(unreadMentions, words.sidebar.mentions) }, "@");
  const count = element(
    "span",
    { class: quiet, "aria-hidden": "true", title: counted(unread, words.sidebar.unread) },
    unread > MOST ? `${MOST}+` : String(unread),
  );
  const told = [counted(unread, words.sidebar.unread), unreadMentions > 0 && counted(unreadMentions, words.sidebar.mentions)];
  mention && mention.setAttribute("aria-hidden", "true");
  return [hidden(told.filter(Boolean).join(", ")), mention, count];
}

/** @param {string} text */
function hidden(text) {
  return element("span", { class: "hidden" }, ` ${text} `);
}
