/** One's own status: as the server keeps it, whichever device chose it. */

import { button, element } from "../dom.js";
import { localSeconds, localTime, wholeTime } from "../format.js";
import { words } from "../words.js";
import { Saving, loaded, row, select } from "./parts.js";

/** @import { Messenger } from "../messenger.js" */
/** @import { Me } from "../../sdk/types.js" */

const texts = words.settings.status;
/** @type {Me["status"][]} */
const STATUSES = ["online", "away", "busy", "offline"];

/** @param {Messenger} messenger */
export function draw(messenger) {
  const place = loaded(
    () => messenger.store.refreshMe(),
    (me, again) => form(messenger, me, again),
  );
  return [element("p", { class: "intro" }, texts.intro), place];
}

/** @param {Messenger} messenger @param {Me} me @param {() => void} again */
function form(messenger, me, again) {
  const saving = new Saving();
  const ends = { ...(me.status_until ? { kept: texts.endsAt(wholeTime(me.status_until)) } : {}), ...texts.ends };
  const status = select(Object.fromEntries(STATUSES.map((one) => [one, texts[one]])), me.status, () => hint());
  const text = element("input", { name: "text", maxlength: 200, dir: "auto", autocomplete: "off", value: me.status_text ?? "" });
  const until = select(ends, me.status_until ? "kept" : "never", () => (time.hidden = until.value !== "custom"));
  const at = element("input", { type: "datetime-local", value: localTime(Date.now() / 1000 + 3600) });
  const time = row(texts.time, at);
  time.hidden = true;
  const told = element("small", { class: "note" });
  const hint = () => (told.textContent = texts[/** @type {"onlineHint"} */ (`${status.value}Hint`)]);
  hint();
  const send = (/** @type {Me["status"]} */ chosen, /** @type {string} */ said, /** @type {number | undefined} */ end) =>
    saving.keep(async () => {
      await messenger.messaging.updateStatus(chosen, { text: said || undefined, until: end });
      await messenger.store.refreshMe();
    });
  const set = async () => {
    const end = endOf(until.value, me.status_until, at.value);
    if (end !== undefined && !(end > Date.now() / 1000)) return saving.fail(texts.past);
    await send(/** @type {Me["status"]} */ (status.value), text.value.trim(), end);
  };
  const clear = async () => (await send("online", "", undefined)) && again();
  return element(
    "form",
    { novalidate: true, onsubmit: (/** @type {Event} */ event) => (event.preventDefault(), void set()) },
    row(texts.status, status),
    told,
    row(texts.text, text, { hint: texts.textHint }),
    row(texts.until, until, { hint: texts.untilHint }),
    time,
    element(
      "p",
      { class: "choices" },
      element("button", { class: "primary" }, texts.set),
      button(texts.clear, () => void clear(), { class: "link" }),
      saving.node,
    ),
  );
}

/**
 * Return when a status ends, Unix seconds; undefined for never.
 *
 * @param {string} chosen a key of the choices
 * @param {number | null} kept the end so far
 * @param {string} time what the field for the time has
 */
export function endOf(chosen, kept, time) {
  const now = new Date();
  const midnight = (/** @type {number} */ days) => new Date(now.getFullYear(), now.getMonth(), now.getDate() + days).getTime() / 1000;
  switch (chosen) {
    case "kept":
      return kept ?? undefined;
    case "half":
      return now.getTime() / 1000 + 1800;
    case "hour":
      return now.getTime() / 1000 + 3600;
    case "today":
      return midnight(1);
    case "week":
      return midnight(8 - (now.getDay() || 7)); // the night before Monday
    case "custom":
      return localSeconds(time) ?? 0;
    default:
      return undefined;
  }
}
