/** Going to a day of a conversation. */

import { button, element, field, fill, openDialog } from "../dom.js";
import { dayOf, dayStart } from "../format.js";
import { words } from "../words.js";
import { addMenuEntry } from "./menu.js";

/** @import { ConversationPane } from "./conversation.js" */

const DAY_MS = 86_400_000;

addMenuEntry({ id: "date", order: 20, icon: "calendar", label: words.conversation.toDate, press: (pane) => askDate(pane) });

/**
 * Ask for a day, and go to its first message.
 *
 * @param {ConversationPane} pane
 * @param {number} [from] a time of the day that is proposed, Unix seconds
 */
export function askDate(pane, from = Date.now() / 1000) {
  const input = element("input", { type: "date", required: true, value: written(from), max: written(Date.now() / 1000) });
  const failure = element("p", { class: "failure", role: "alert" });
  const go = element("button", { class: "primary" }, words.conversation.go);
  const submit = async () => {
    fill(failure);
    const chosen = input.valueAsNumber;
    if (Number.isNaN(chosen)) return fill(failure, words.conversation.noDate);
    go.disabled = true;
    const told = await goToDay(pane, Math.round(chosen / DAY_MS)).finally(() => (go.disabled = false));
    if (told) fill(failure, told);
    else dialog.close();
  };
  const onsubmit = (/** @type {Event} */ event) => (event.preventDefault(), void submit());
  const choice = element("p", { class: "choice" }, button(words.common.cancel, () => dialog.close()), go);
  const dialog = openDialog(words.conversation.toDate, element("form", { onsubmit, novalidate: true }, field(words.conversation.date, input), failure, choice));
  input.focus();
}

/**
 * Go to the first message of a day, or the first one after it; return why not where there is none.
 *
 * @param {ConversationPane} pane
 * @param {number} day as `dayOf` counts them
 */
async function goToDay(pane, day) {
  const { id, store } = pane;
  const begin = dayStart(day);
  try {
    // Of the day itself first: among imported messages an earlier one may be of a later day.
    const seq = (await store.seqAt(id, begin, dayStart(day + 1) - 0.001)) ?? (await store.seqAt(id, begin));
    if (seq === null) return words.conversation.nothingSince;
    await pane.jump(seq, { offset: 60 });
    return "";
  } catch {
    return words.conversation.notLoaded;
  }
}

/** @param {number} seconds */
function written(seconds) {
  return new Date(dayOf(seconds) * DAY_MS).toISOString().slice(0, 10);
}
