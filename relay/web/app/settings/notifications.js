/** Notifications: in this browser, also while the page is closed; sounds; when one wants quiet; what is muted. */

import { button, element, fill, icon } from "../dom.js";
import { moment } from "../format.js";
import { askPermission, choices, choose, permission } from "../notifications/choices.js";
import { chime } from "../notifications/sound.js";
import { unmute } from "../notifications/level-dialog.js";
import { problem } from "../problems.js";
import { words } from "../words.js";
import { Saving, loaded, row, select, toggle } from "./parts.js";

/** @import { Messenger } from "../messenger.js" */
/** @import { Notifying } from "../notifications/notifications.js" */
/** @import { QuietHours } from "../notifications/levels.js" */

const texts = words.notifications;
/** The hours that are offered to who chose none yet. */
const NIGHT = { from: "22:00", to: "07:00" };

/** @param {Messenger} messenger */
export function draw(messenger) {
  const { notifying } = messenger;
  if (!notifying) return [];
  const here = element("div", { class: "notifying" });
  const drawHere = () => fill(here, system(drawHere), push(messenger, notifying, drawHere), sound());
  const kept = loaded(
    () => notifying.levels.load(),
    () => (drawHere(), preferences(messenger, notifying)),
  );
  drawHere();
  return [element("p", { class: "intro" }, texts.intro), here, element("h4", {}, texts.quietTitle), kept];
}

/** Notifications of the system, while the page is open. @param {() => void} again */
function system(again) {
  const allowed = permission();
  if (allowed === "granted") {
    return toggle(texts.system, choices().system, { hint: texts.systemHint, changed: (on) => choose({ system: on }) });
  }
  if (allowed !== "default") return told(texts.system, allowed === "denied" ? texts.blocked : texts.cannot[/** @type {"insecure" | "unsupported"} */ (allowed)]);
  const ask = () => void askPermission().then(again, again);
  return told(texts.system, texts.systemHint, button(texts.turnOn, ask, { class: "primary" }));
}

/**
 * Web Push, and its test.
 *
 * @param {Messenger} messenger
 * @param {Notifying} notifying
 * @param {() => void} again
 */
function push({ store }, { push: web, levels }, again) {
  const { hindrance } = web;
  if (levels.supported === false) return told(texts.push, store.me?.admin ? texts.pushOffAdmin : texts.pushOff);
  if (hindrance === "blocked") return told(texts.push, texts.pushBlocked);
  if (hindrance) return told(texts.push, texts.cannot[hindrance]);
  const saving = new Saving();
  const node = toggle(texts.push, web.isOn, {
    hint: texts.pushHint,
    saving,
    changed: async (on) => {
      if (on && permission() === "default") await askPermission();
      if (permission() === "denied") return again();
      const done = await saving.keep(async () => {
        try {
          await (on ? web.turnOn() : web.turnOff());
        } catch (error) {
          throw error instanceof DOMException ? texts.pushFailed : error;
        }
      }, on ? texts.pushOn : texts.pushEnded);
      const input = node.querySelector("input");
      if (input && !done) input.checked = !on;
      if (done) fill(tried, web.isOn && test(web));
    },
  });
  const tried = element("div", {}, web.isOn && test(web));
  return element("div", { class: "pushing" }, node, tried);
}

/** @param {import("../notifications/web-push.js").WebPush} web */
function test(web) {
  const result = element("span", { class: "note", role: "status" });
  const press = async () => {
    fill(result, texts.testing);
    try {
      const { delivered, error } = await web.test();
      fill(result, delivered ? texts.tested : texts.testFailed(error ?? ""));
    } catch (error) {
      fill(result, problem(error));
    }
  };
  return element("p", { class: "choices" }, button(texts.test, () => void press()), result);
}

function sound() {
  return toggle(texts.sound, choices().sound, {
    hint: texts.soundHint,
    changed: (on) => {
      choose({ sound: on });
      if (on) chime();
    },
  });
}

/** What the server keeps for all devices; where it does not, this browser does. @param {Messenger} messenger @param {Notifying} notifying */
function preferences(messenger, notifying) {
  const { levels } = notifying;
  return [
    levels.supported === false && element("p", { class: "note" }, texts.onlyHere),
    quietHours(notifying),
    content(notifying),
    element("h4", {}, texts.mutedTitle),
    muted(messenger, notifying),
  ].filter((one) => one instanceof HTMLElement);
}

/** @param {Notifying} notifying */
function quietHours({ levels }) {
  const saving = new Saving();
  const chosen = levels.settings.quiet_hours;
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
  const [from, to] = /** @type {const} */ (["from", "to"]).map((name) =>
    element("input", { type: "time", required: true, value: (chosen ?? NIGHT)[name], onchange: () => void keep() }),
  );
  const keep = () => saving.keep(() => levels.change({ quiet_hours: /** @type {QuietHours} */ ({ from: from.value, to: to.value, zone }) }));
  const times = element("div", { class: "hours", hidden: chosen === null }, row(texts.quietFrom, from), row(texts.quietTo, to));
  const node = toggle(texts.quiet, chosen !== null, {
    hint: texts.quietHint(chosen?.zone ?? zone),
    saving,
    changed: async (on) => {
      const done = await (on ? keep() : saving.keep(() => levels.change({ quiet_hours: null })));
      const input = node.querySelector("input");
      if (input && !done) input.checked = !on;
      times.hidden = !input?.checked;
    },
  });
  return element("div", { class: "quiet-hours" }, node, times);
}

/** @param {Notifying} notifying */
function content({ levels }) {
  const saving = new Saving();
  let kept = levels.settings.content ?? "full";
  const node = select(texts.contents, kept, async (value) => {
    const next = /** @type {"full" | "sender" | "none"} */ (value);
    if (await saving.keep(() => levels.change({ content: next }))) kept = next;
    else node.value = kept;
  });
  return row(texts.content, node, { hint: texts.contentHint, saving });
}

/** @param {Messenger} messenger @param {Notifying} notifying */
function muted(messenger, { levels }) {
  const list = element("ul", { class: "muted-list" });
  const again = () => {
    const all = levels.settings.muted.filter(({ target_id: id }) => id !== "*" && levels.of(messenger.store.conversation(id)).muted);
    fill(list, ...all.map(line));
    if (all.length === 0) fill(list, element("li", { class: "note" }, texts.mutedNone));
  };
  const line = (/** @type {{ target_id: string, until: number | null, mentions: boolean }} */ { target_id: id, until, mentions }) => {
    const conversation = messenger.store.conversation(id);
    const name = messenger.names.title(conversation);
    const detail = [mentions && texts.exceptMentions, until !== null && texts.mutedUntil(moment(until))].filter(Boolean).join(" · ");
    const end = () => void unmute(conversation, messenger).then(again);
    return element(
      "li",
      {},
      icon("mute"),
      element("div", { class: "about" }, element("strong", {}, element("bdi", {}, name)), element("small", {}, detail)),
      button(texts.unmuteOf(name), end, { sign: texts.unmute, class: "link" }),
    );
  };
  again();
  return list;
}

/** @param {string} label @param {string} text @param {HTMLElement} [control] */
function told(label, text, control) {
  return element("div", { class: "setting" }, element("div", { class: "caption" }, element("span", {}, label)), element("p", { class: "note" }, text), control && element("p", { class: "choices" }, control));
}
