/** Polls in relay's own page: the card that people vote on, and how one is closed. form.js has the form that asks. */

import { ask, element, icon } from "../../app/dom.js";
import { isolate, listed, moment } from "../../app/format.js";
import { counted } from "../../app/words.js";
import { writePoll } from "./form.js";
import { texts } from "./texts.js";

/** @import { MessageView } from "../../sdk/index.js" */
/** @import { Action, Relay, TypeModule } from "../../app/page-module.js" */

const ICONS = new URL("icons.svg", import.meta.url).href;
const MAX_NAMES = 5;

/** This user's choices that the server has not answered yet, by poll. @type {Map<number, number[]>} */
const unanswered = new Map();

/** @type {Record<string, TypeModule>} */
export const types = {
  poll: {
    draw: drawPoll,
    text: ({ payload }) => texts.gist(payload.question),
    actions: [{ label: texts.close, sign: () => icon("stop", ICONS), shown: mayClose, press: close }],
  },
};

/** @type {Action<[Relay]>[]} */
export const composer = [{ label: texts.poll, sign: () => icon("poll", ICONS), press: (relay) => writePoll(relay) }];

/**
 * Return how a poll stands: by its result, which the server counts, and by the votes, which say whose they are. An anonymous
 * poll names nobody: of its votes the page has this user's own alone.
 *
 * @param {MessageView} message
 */
function stateOf({ latest, messageId, payload }) {
  const result = latest.findLast(({ type }) => type === "poll_result")?.payload;
  const closing = latest.findLast(({ type }) => type === "poll_close");
  const votes = latest.filter(({ type }) => type === "poll_vote");
  return {
    counts: /** @type {number[]} */ (result?.votes ?? []),
    voters: /** @type {number} */ (result?.voters ?? 0),
    votes: payload.anonymous ? [] : votes,
    mine: unanswered.get(messageId ?? 0) ?? /** @type {number[]} */ (votes.find(({ mine }) => mine)?.payload.choices ?? []),
    closed: result?.closed_at !== undefined || closing !== undefined,
    closedBy: /** @type {string | undefined} */ (result?.closed_by ?? closing?.senderId),
  };
}

/** @param {MessageView} message @param {Relay} relay */
function drawPoll(message, relay) {
  const { messageId, payload } = message;
  const state = stateOf(message);
  const { multiple, options } = payload;

  const show = () => {
    for (const [choice, button] of buttons.entries()) button.setAttribute("aria-checked", String(state.mine.includes(choice)));
  };
  /** @param {number} choice */
  const press = async (choice) => {
    if (messageId === null) return;
    const before = state.mine;
    const others = multiple ? before.filter((one) => one !== choice) : [];
    const choices = before.includes(choice) ? others : [...others, choice];
    unanswered.set(messageId, (state.mine = choices));
    show();
    const ack = await relay.send("poll_vote", { poll: messageId, choices });
    if (unanswered.get(messageId) === choices) unanswered.delete(messageId);
    if (ack) return;
    state.mine = before;
    show();
  };
  /** @type {HTMLElement[]} */
  const buttons = options.map((/** @type {string} */ text, /** @type {number} */ choice) => {
    const attributes = { role: multiple ? "checkbox" : "radio", disabled: state.closed || messageId === null, onclick: () => void press(choice) };
    return drawOption(text, choice, state, relay, attributes);
  });
  show();
  const kind = [payload.anonymous ? texts.anonymousPoll : texts.poll, multiple && texts.severalChoices].filter(Boolean).join(", ");
  const foot = [state.voters ? counted(state.voters, texts.voters) : texts.noVotesYet, endOf(payload, state, relay)].filter(Boolean).join(" · ");
  return element(
    "div",
    { class: "poll" },
    element("p", { class: "note" }, kind),
    element("p", { class: "question", dir: "auto" }, payload.question),
    element("div", { class: "options", role: multiple ? "group" : "radiogroup", "aria-label": texts.options }, ...buttons),
    element("p", { class: "note" }, foot),
  );
}

/**
 * Draw an option: a button with a bar for its share of the voters, and their names where they are known.
 *
 * @param {string} text
 * @param {number} choice
 * @param {ReturnType<typeof stateOf>} state
 * @param {Relay} relay
 * @param {Record<string, any>} attributes
 */
function drawOption(text, choice, { closed, counts, voters, votes }, relay, attributes) {
  const count = counts[choice] ?? 0;
  const most = closed && count > 0 && count === Math.max(...counts);
  const names = votes.filter(({ payload }) => payload.choices.includes(choice)).map(({ senderId }) => relay.name(senderId));
  const spoken = count ? counted(count, texts.votes) : texts.noVotes;
  const bar = element("span", { class: "bar" });
  bar.style.setProperty("--share", String(voters ? count / voters : 0));
  return element(
    "button",
    { type: "button", class: most ? "option first" : "option", "aria-label": isolate(text), "aria-description": names.length > 0 ? texts.counted(spoken, listed(names)) : spoken, ...attributes },
    element("span", { class: "text", dir: "auto" }, text),
    element("span", { class: "count" }, String(count)),
    bar,
    names.length > 0 && element("span", { class: "names" }, shortened(names)),
  );
}

/** @param {MessageView["payload"]} payload @param {ReturnType<typeof stateOf>} state @param {Relay} relay */
function endOf({ closes_at }, { closed, closedBy }, relay) {
  if (closed) return closedBy ? texts.closedBy(isolate(relay.name(closedBy))) : texts.closed;
  return closes_at ? texts.closes(moment(closes_at)) : "";
}

/** @param {string[]} names */
function shortened(names) {
  const more = names.length - MAX_NAMES;
  return listed(more > 0 ? [...names.slice(0, MAX_NAMES), counted(more, texts.others)] : names);
}

/** @param {MessageView} message @param {Relay} relay */
function mayClose(message, { conversation: { kind, may } }) {
  return message.messageId !== null && !stateOf(message).closed && (message.mine || (kind === "group" && may?.includes("end_others") === true));
}

/** @param {MessageView} message @param {Relay} relay */
async function close({ messageId }, relay) {
  if (await ask(texts.closeSure, texts.close)) await relay.send("poll_close", { poll: messageId });
}
