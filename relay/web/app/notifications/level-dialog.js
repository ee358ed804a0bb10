/** What notifies of one conversation: the entries of its menus, and the dialog. */

import { addMenuEntry } from "../conversation/menu.js";
import { button, element, fill, openDialog } from "../dom.js";
import { isolate, moment } from "../format.js";
import { problem } from "../problems.js";
import { radios } from "../settings/parts.js";
import { addLineEntry } from "../sidebar/line-menu.js";
import { words } from "../words.js";

/** @import { ConversationSummary } from "../../sdk/index.js" */
/** @import { Messenger } from "../messenger.js" */
/** @import { Level } from "./levels.js" */

/** How long one may choose less than usual, in seconds, by the keys of their texts. */
const SECONDS = { hour: 3600, evening: 8 * 3600, day: 24 * 3600, always: null };

const texts = words.notifications;
const isMuted = (/** @type {ConversationSummary} */ one, /** @type {Messenger} */ { notifying }) => notifying?.levels.of(one).muted ?? false;

addLineEntry({
  key: "mute",
  order: 50,
  icon: (conversation, messenger) => (isMuted(conversation, messenger) ? "mute" : "bell"),
  label: () => texts.title,
  shown: ({ over }) => !over,
  press: chooseLevel,
});
addLineEntry({
  key: "unmute",
  order: 51,
  icon: "bell",
  label: () => texts.unmute,
  shown: (conversation, messenger) => !conversation.over && isMuted(conversation, messenger),
  press: (conversation, messenger) => void unmute(conversation, messenger),
});
addMenuEntry({
  id: "mute",
  order: 60,
  icon: "bell",
  label: texts.title,
  shown: ({ view }) => !view.over,
  press: ({ view, messenger }) => chooseLevel(view, messenger),
});
addMenuEntry({
  id: "unmute",
  order: 61,
  icon: "bell",
  label: texts.unmute,
  shown: ({ view, messenger }) => !view.over && isMuted(view, messenger),
  press: ({ view, messenger }) => void unmute(view, messenger),
});

/** @param {ConversationSummary} conversation @param {Messenger} messenger */
export async function unmute(conversation, messenger) {
  // A group in which everything notified before it was muted for a while notifies of everything again.
  const before = messenger.notifying?.levels.settings.everything.includes(conversation.target);
  const level = conversation.kind !== "group" || before ? "all" : "mentions";
  await messenger.notifying?.levels.set(conversation, level).catch(messenger.failed);
}

/** @param {ConversationSummary} conversation @param {Messenger} messenger */
function chooseLevel(conversation, messenger) {
  const levels = messenger.notifying?.levels;
  if (!levels) return;
  const group = conversation.kind === "group";
  const now = levels.of(conversation);
  /** @type {Level} */
  let level = now.level;
  /** @type {keyof typeof SECONDS} */
  let time = "always";
  const failure = element("p", { class: "failure", role: "alert" });
  /** @type {Record<string, string>} */
  const offered = group ? { all: texts.all, mentions: texts.mentions, nothing: texts.nothing } : { all: texts.all, nothing: texts.nothing };
  const howLong = element("div", {}, radios(texts.howLong, texts.times, time, (chosen) => (time = /** @type {keyof typeof SECONDS} */ (chosen))));
  const changed = () => (howLong.hidden = level === "all");
  const choice = radios(texts.notifyOf, offered, level, (chosen) => ((level = /** @type {Level} */ (chosen)), changed()));
  changed();

  const save = async () => {
    const seconds = SECONDS[time];
    try {
      await levels.set(conversation, level, level === "all" || seconds === null ? null : Math.round(Date.now() / 1000) + seconds);
      dialog.close();
    } catch (error) {
      fill(failure, problem(error));
    }
  };
  const told = [
    now.muted && element("p", { class: "note" }, now.until === null ? texts.mutedNow : texts.mutedUntil(moment(now.until))),
    group && element("p", { class: "note" }, texts.groupHint),
    levels.supported === false && element("p", { class: "note" }, texts.onlyHere),
  ];
  const form = element(
    "form",
    { class: "level", onsubmit: (/** @type {Event} */ event) => (event.preventDefault(), void save()) },
    ...[now.muted && told[0], choice, told[1], howLong, told[2], failure].filter(Boolean).map((one) => /** @type {HTMLElement} */ (one)),
    element("p", { class: "choice" }, button(words.common.cancel, () => dialog.close()), element("button", { class: "primary" }, texts.save)),
  );
  const dialog = openDialog(texts.titleOf(isolate(messenger.names.title(conversation))), form);
  dialog.classList.add("levels");
  /** @type {HTMLElement | null} */ (form.querySelector(":checked"))?.focus();
}
