/** Polls in relay's own page: the card that people vote on, and how one is closed. form.js has the form that asks. */

import { ask, element, icon } from "../../app/dom.js";
import { isolate, listed, moment } from "../../app/format.js";
import { writePoll } from "./form.js";

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
    text: ({ payload }) => `Poll: ${payload.question}`,
    actions: [{ label: "Close the poll", sign: () => icon("stop", ICONS), shown: mayClose, press: close }],
  },
};

/** @type {Action<[Relay]>[]} */
export const composer = [{ label: "Poll", sign: () => icon("poll", ICONS), press: (relay) => writePoll(relay) }];

/**
 * Return how a poll stands: by its result, which the server counts, and by the votes, which say whose they are. Of an
 * anonymous poll this user gets their own vote alone.
 *
 * @param {MessageView} message
 */
function stateOf({ latest, messageId }) {
  const result = latest.findLast(({ type }) => type === "poll_result")?.payload;
  const closing = latest.findLast(({ type }) => type === "poll_close");
  const votes = latest.filter(({ type }) => type === "poll_vote");
  return {
    counts: /** @type {number[]} */ (result?.votes ?? []),
    voters: /** @type {number} */ (result?.voters ?? 0),
    votes,
    mine: unanswered.get(messageId ?? 0) ?? /** @type {number[]} */ (votes.find(({ mine }) => mine)?.payload.choices ?? []),
    closed: result?.closed_at !== undefined || closing !== undefined,
    closedBy: /** @type {string | undefined} */ (result?.closed_by ?? closing?.senderId),
  };
}

/** @param {MessageView} message @param {Relay} relay */
function drawPoll(message, relay) {
  const { messageId, payload } = message;
  const { counts, voters, votes, closed, closedBy, ...state } = stateOf(message);
  let { mine } = state;
  const most = Math.max(...counts, 0);

  /** @param {number[]} choices */
  const show = (choices) => {
    mine = choices;
    for (const [choice, option] of options.entries()) option.setAttribute("aria-checked", String(mine.includes(choice)));
  };
  /** @param {number} choice */
  const press = async (choice) => {
    if (messageId === null) return;
    const before = mine;
    const others = payload.multiple ? mine.filter((one) => one !== choice) : [];
    const choices = mine.includes(choice) ? others : [...others, choice];
    unanswered.set(messageId, choices);
    show(choices);
    const ack = await relay.send("poll_vote", { poll: messageId, choices });
    if (unanswered.get(messageId) === choices) unanswered.delete(messageId);
    if (!ack) show(before);
  };
  /** @type {HTMLElement[]} */
  const options = payload.options.map((/** @type {string} */ text, /** @type {number} */ choice) => {
    const count = counts[choice] ?? 0;
    const voted = payload.anonymous ? [] : votes.filter((vote) => vote.payload.choices.includes(choice));
    const names = voted.map(({ senderId }) => relay.name(senderId));
    const bar = element("span", { class: "bar" });
    bar.style.setProperty("--share", String(voters ? count / voters : 0));
    return element(
      "button",
      {
        type: "button",
        class: closed && count === most && count > 0 ? "option first" : "option",
        role: payload.multiple ? "checkbox" : "radio",
        "aria-checked": "false",
        "aria-label": isolate(text),
        "aria-description": [inWords(count, "vote"), names.length > 0 && listed(names)].filter(Boolean).join(": "),
        disabled: closed || messageId === null,
        onclick: () => void press(choice),
      },
      element("span", { class: "text", dir: "auto" }, text),
      element("span", { class: "count" }, String(count)),
      bar,
      names.length > 0 && element("span", { class: "names" }, shortened(names)),
    );
  });
  show(mine);
  const kind = [payload.anonymous ? "Anonymous poll" : "Poll", payload.multiple && "several choices"].filter(Boolean).join(", ");
  return element(
    "div",
    { class: "poll" },
    element("p", { class: "note" }, kind),
    element("p", { class: "question", dir: "auto" }, payload.question),
    element("div", { class: "options", role: payload.multiple ? "group" : "radiogroup", "aria-label": "Options" }, ...options),
    element("p", { class: "note" }, [voters ? inWords(voters, "voter") : "no votes yet", endOf()].filter(Boolean).join(" · ")),
  );

  function endOf() {
    if (closed) return closedBy ? `closed by ${isolate(relay.name(closedBy))}` : "closed";
    return payload.closes_at ? `closes ${moment(payload.closes_at)}` : "";
  }
}

/** @param {string[]} names */
function shortened(names) {
  const more = names.length - MAX_NAMES;
  return listed(more > 0 ? [...names.slice(0, MAX_NAMES), inWords(more, "other")] : names);
}

/** @param {number} count @param {string} what */
function inWords(count, what) {
  return `${count === 0 ? "no" : count} ${what}${count === 1 ? "" : "s"}`;
}

/** @param {MessageView} message @param {Relay} relay */
function mayClose(message, { conversation: { role } }) {
  return message.messageId !== null && !stateOf(message).closed && (message.mine || role === "owner" || role === "admin");
}

/** @param {MessageView} message @param {Relay} relay */
async function close({ messageId }, relay) {
  const sure = await ask("Close this poll? Nobody can vote any more, and it cannot be opened again.", "Close the poll");
  if (sure) await relay.send("poll_close", { poll: messageId });
}
