/** Reminders in relay's own page: a line for what was asked for and for what came, and the form, with those that wait. */

import { button, element, field, fill, icon, openDialog } from "../../app/dom.js";
import { isolate, localSeconds, localTime, moment } from "../../app/format.js";
import { texts } from "./texts.js";

/** @import { Action, Relay, TypeModule } from "../../app/page-module.js" */

/** @typedef {{ message_id: number, text: string, at: number, target_id: string | null }} Waiting */

const ICONS = new URL("icons.svg", import.meta.url).href;

/** @type {Record<string, TypeModule>} */
export const types = {
  remind: {
    draw: ({ messageId, mine, payload: { text, at, when } }, relay) => {
      const waits = !at || at * 1000 > Date.now();
      const cancel = button(texts.cancel, () => void remove(messageId ?? 0, relay), { class: "link" });
      return line(text, at ? (waits ? texts.comes : texts.came)(moment(at)) : when, mine && messageId !== null && waits && cancel);
    },
    text: ({ payload }) => texts.gistToCome(payload.text),
  },
  reminder: {
    draw: ({ payload }) => line(payload.text, texts.reminder),
    text: ({ payload }) => texts.gist(payload.text),
  },
};

/** @type {Action<[Relay]>[]} */
export const composer = [{ label: texts.remind, sign: () => icon("clock", ICONS), press: (relay) => writeReminder(relay) }];

/** @param {string} text @param {string} about @param {HTMLElement | false} [cancel] */
function line(text, about, cancel = false) {
  return element(
    "div",
    { class: "remind" },
    icon("clock", ICONS),
    element("p", { dir: "auto" }, text),
    element("p", { class: "note" }, about, cancel && " · ", cancel),
  );
}

/** Delete a reminder, and tell whether that was done. @param {number} messageId @param {Relay} relay */
async function remove(messageId, relay) {
  try {
    await relay.call("DELETE", `/api/reminders/${messageId}`);
    return true;
  } catch (error) {
    relay.failed(error);
    return false;
  }
}

/**
 * Open the form, with the user's own reminders that wait. It stays open after one that is for them alone, which is then seen here.
 *
 * @param {Relay} relay
 */
function writeReminder(relay) {
  const soon = Math.ceil(Date.now() / 3_600_000) * 3600; // the next full hour
  const text = element("input", { required: true, maxlength: 1000, dir: "auto", autofocus: true, autocomplete: "off" });
  const at = element("input", { type: "datetime-local", required: true, value: localTime(soon), min: localTime(Date.now() / 1000) });
  const everybody = element("input", { type: "checkbox" });
  const add = element("button", { class: "primary" }, texts.remind);
  const waiting = element("div", { class: "remind-waiting" });
  /** @param {Event} event */
  const send = async (event) => {
    event.preventDefault();
    add.disabled = true;
    const reminder = { text: text.value.trim(), at: localSeconds(at.value), only_me: !everybody.checked };
    const ack = await relay.send("remind", reminder);
    add.disabled = false;
    if (!ack) return;
    if (everybody.checked) dialog.close();
    text.value = "";
    await listWaiting(waiting, relay).catch(relay.failed);
  };
  const form = element(
    "form",
    { onsubmit: (/** @type {Event} */ event) => void send(event) },
    field(texts.of, text),
    field(texts.at, at),
    element("label", { class: "check" }, everybody, element("span", {}, texts.everybody)),
    element("p", { class: "choice" }, add),
  );
  const dialog = openDialog(texts.reminder, form, waiting);
  void listWaiting(waiting, relay).catch(relay.failed);
}

/** @param {HTMLElement} place @param {Relay} relay */
async function listWaiting(place, relay) {
  /** @type {{ reminders: Waiting[] }} */
  const { reminders } = await relay.call("GET", "/api/reminders");
  const lines = reminders.map(({ message_id, text, at, target_id }) => {
    const cancel = async () => void ((await remove(message_id, relay)) && (await listWaiting(place, relay)));
    const about = target_id === null ? texts.forYou(moment(at)) : texts.forOther(moment(at), isolate(relay.name(target_id)));
    return line(text, about, button(texts.cancel, () => void cancel().catch(relay.failed), { class: "link" }));
  });
  fill(place, lines.length > 0 && element("h3", {}, texts.waiting), ...lines);
}
