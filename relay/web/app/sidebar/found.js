/** What was found, or saved, as lines to go to: people, groups and messages. */

import { cardText } from "../conversation/cards.js";
import { element } from "../dom.js";
import { shortly, straight, upright, wholeTime } from "../format.js";
import { avatar } from "../people/avatar.js";
import { isTalk } from "../texts.js";
import { words } from "../words.js";

/** @import { Messenger } from "../messenger.js" */
/** @import { Envelope } from "../../sdk/types.js" */

/** @typedef {{ id: string, name: string, group: boolean }} FoundPlace a person or a group */

/** The HTML entities that snippets contain. @type {Record<string, string>} */
const ENTITIES = { lt: "<", gt: ">", amp: "&", quot: '"', "#x27": "'", "#39": "'" };

/**
 * Return the id of the conversation that a message is in, as its reader names it.
 *
 * @param {Envelope<any>} message
 * @param {Messenger} messenger
 */
export function placeOf({ meta }, { session }) {
  const { sender_id: sender = "", target_id: target = "" } = meta;
  return target === session.userId ? sender : target;
}

/**
 * Return the name of a user: as the list of conversations has it, or the directory.
 *
 * @param {string} userId
 * @param {Messenger} messenger
 */
function nameOf(userId, { store, names }) {
  const summary = store.conversation(userId);
  return summary.kind === "user" ? names.title(summary) : names.of(userId);
}

/**
 * Draw what a person or a group shows: picture, name, and the id where it says more.
 *
 * @param {FoundPlace} place
 */
export function drawPlace({ id, name, group }) {
  return [
    avatar(id, name),
    element("span", { class: "name" }, element("bdi", {}, name), group ? element("small", {}, words.sidebar.group) : name !== id && element("small", {}, id)),
  ];
}

/**
 * Draw a message that leads to its place: who, where, when, and what was said.
 *
 * @param {Envelope<any>} message
 * @param {Messenger} messenger
 * @param {{ snippet?: string, at?: number, press: () => void }} options snippet: what matched, as search tells it; at: another time to show, Unix seconds
 */
export function drawMessage(message, messenger, { snippet = "", at, press }) {
  const { names, store, session } = messenger;
  const { type, payload, meta } = message;
  const { sender_id: sender = "", timestamp = 0 } = meta;
  const id = placeOf(message, messenger);
  const summary = store.conversation(id);
  const where = straight(names.title(summary));
  const mine = sender === session.userId;
  const inGroup = summary.kind === "group" || meta.target_id !== session.userId && !mine;
  const place = inGroup ? words.sidebar.inGroup : mine && words.sidebar.to;
  const time = at ?? timestamp;
  return element(
    "button",
    { type: "button", class: "found", onclick: press },
    element(
      "span",
      { class: "head" },
      element("strong", {}, element("bdi", {}, mine ? words.sidebar.you : nameOf(sender, messenger))),
      place && element("span", { class: "where", title: where }, ...around(place, where)),
      element("time", { title: wholeTime(time) }, shortly(time)),
    ),
    element("span", { class: "snippet", dir: "auto" }, ...(snippet ? marked(snippet) : [textOf(type, payload, messenger)])),
  );
}

/** Isolate a name within its sentence. @param {(name: string) => string} sentence @param {string} name */
function around(sentence, name) {
  const [before, after] = sentence("\0").split("\0");
  return [before, element("bdi", {}, name), after];
}

/** @param {string} type @param {any} payload @param {Messenger} messenger */
function textOf(type, payload, { names }) {
  return (isTalk({ type }) && upright(payload.content ?? "")) || cardText(type, payload, names);
}

/**
 * Return a snippet's text, with the matches in `<mark>` elements. The snippet is read as text, never as markup.
 *
 * @param {string} snippet
 */
function marked(snippet) {
  return snippet.split(/<mark>(.*?)<\/mark>/s).map((part, at) => {
    const text = upright(part).replace(/&([a-z]+|#x?[\da-f]+);/gi, (whole, name) => ENTITIES[name] ?? whole);
    return at % 2 ? element("mark", {}, text) : text;
  });
}
