/** Forwarding: the text of a message, and its files, to other conversations, with the name of who said it. */

import { button, element, field, fill, icon, openDialog } from "../dom.js";
import { isolate, straight } from "../format.js";
import { quoteLine } from "../people/avatar.js";
import { drawPlace } from "../sidebar/found.js";
import { knownPlaces, peopleCalled } from "../sidebar/places-found.js";
import { gist, isTalk } from "../texts.js";
import { words } from "../words.js";

/** @import { MessageView } from "../../sdk/index.js" */
/** @import { FoundPlace } from "../sidebar/found.js" */
/** @import { ConversationPane } from "./conversation.js" */

const PAUSE_MS = 200;
const MOST_SHOWN = 30;
/** A message goes to so many conversations at once. */
const MOST_PLACES = 10;
const texts = words.forward;

/** Tell whether a message can be forwarded: one that people wrote, with a text or files. @param {MessageView} message */
export function mayForward(message) {
  const { payload, messageId, deletedAt, state } = message;
  return messageId !== null && deletedAt === null && state !== "streaming" && isTalk(message) && Boolean(payload.content || payload.attachments?.length);
}

/**
 * Return the user id of who said first what a message forwards; an empty one if it forwards nothing.
 *
 * @param {Readonly<Record<string, any>>} payload
 */
export function forwardedFrom({ extra }) {
  const from = extra?.forwarded?.user_id;
  return typeof from === "string" ? from : "";
}

/** Draw the line that says whose message was forwarded. @param {MessageView} message @param {ConversationPane} pane */
export function drawForwarded({ payload }, { names }) {
  const from = forwardedFrom(payload);
  return from && element("p", { class: "forwarded" }, icon("forward"), element("span", {}, texts.from(isolate(names.of(from)))));
}

/**
 * Open the dialog that asks where a message is forwarded to.
 *
 * @param {MessageView} message
 * @param {ConversationPane} pane
 */
export function openForward(message, pane) {
  const { messenger } = pane;
  /** @type {Map<string, FoundPlace>} */
  const chosen = new Map();
  /** @type {FoundPlace[]} */
  let people = [];
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  let running = new AbortController();
  const list = element("ul", { class: "people", "aria-label": texts.to });
  const told = element("p", { class: "told", role: "status" });
  const toggle = (/** @type {FoundPlace} */ place) => {
    if (!chosen.delete(place.id)) chosen.set(place.id, place);
    draw();
  };
  const line = (/** @type {FoundPlace} */ place) => {
    const checked = chosen.has(place.id);
    const box = element("input", { type: "checkbox", value: place.id, checked, disabled: !checked && chosen.size >= MOST_PLACES, onchange: () => toggle(place) });
    return element("li", {}, element("label", { class: "person" }, ...drawPlace(place), box));
  };
  const draw = () => {
    const held = list.contains(document.activeElement) ? /** @type {HTMLInputElement} */ (document.activeElement).value : null;
    const typed = input.value.trim();
    const found = [...knownPlaces(messenger, typed), ...people].filter(({ id }) => !messenger.store.conversation(id).over);
    const shown = [...chosen.values(), ...found.filter(({ id }) => !chosen.has(id))].slice(0, MOST_SHOWN);
    fill(list, ...shown.map(line));
    fill(told, shown.length === 0 ? words.sidebar.nothing : chosen.size >= MOST_PLACES ? texts.most(MOST_PLACES) : "");
    send.disabled = chosen.size === 0;
    if (held !== null) for (const box of list.querySelectorAll("input")) if (box.value === held) box.focus();
  };
  const ask = async () => {
    const { signal } = (running = new AbortController());
    const typed = input.value.trim();
    const found = await peopleCalled(messenger, typed, knownPlaces(messenger, typed), signal);
    if (signal.aborted) return;
    people = found;
    draw();
  };
  const typedAnew = () => {
    clearTimeout(timer);
    running.abort();
    people = [];
    timer = setTimeout(() => void ask(), PAUSE_MS);
    draw();
  };
  const input = element("input", { type: "search", dir: "auto", autocomplete: "off", "aria-label": texts.to, autofocus: true, oninput: typedAnew });
  const send = button(texts.send, () => {
    for (const place of chosen.values()) forward(message, place, pane);
    dialog.close();
    messenger.notices.say(texts.sent([...chosen.values()].map(({ name }) => isolate(straight(name))).join(", ")));
  }, { class: "primary" });
  const quoted = element("blockquote", { class: "forwarding", dir: "auto" });
  const drawQuoted = () => fill(quoted, ...quoteLine(pane.names.of(message.senderId), gist(message, pane.names)));
  const body = element("div", { class: "directory" }, quoted, field(texts.to, input), told, list);
  const dialog = openDialog(texts.title, body, element("p", { class: "choice" }, send));
  const end = pane.names.onChange(() => (drawQuoted(), draw()));
  dialog.addEventListener("close", () => (end(), clearTimeout(timer), running.abort()));
  drawQuoted();
  draw();
}

/** @param {MessageView} message @param {FoundPlace} place @param {ConversationPane} pane */
function forward({ payload, senderId }, { id, group }, { messaging }) {
  const from = forwardedFrom(payload) || senderId;
  const name = group ? "sendGroupMessage" : "sendPrivateMessage";
  messaging[name](id, payload.content ?? "", payload.attachments ?? [], { extra: { forwarded: { user_id: from } } });
}
