/** One's profile: the picture, the display name, the user id. */

import { button, element, fill } from "../dom.js";
import { straight } from "../format.js";
import { avatar } from "../people/avatar.js";
import { learnPicture, pictureOf } from "../people/pictures.js";
import { words } from "../words.js";
import { crop, PICTURES } from "./crop.js";
import { mailAddress } from "./mail-address.js";
import { copyButton, Saving, loaded, row } from "./parts.js";

/** @import { Messenger } from "../messenger.js" */
/** @import { Me } from "../../sdk/types.js" */

const texts = words.settings.profile;

/** @param {Messenger} messenger */
export function draw(messenger) {
  return [
    element("p", { class: "intro" }, texts.intro),
    loaded(
      () => messenger.store.refreshMe(),
      (me) => [picture(messenger, me), name(messenger, me), ...fixed(me), mailAddress(messenger)],
    ),
  ];
}

/** @param {Messenger} messenger @param {Me} me */
function picture(messenger, me) {
  const { restApi } = messenger.messaging;
  const saving = new Saving();
  const place = element("div", { class: "portrait", role: "group", "aria-label": texts.picture });
  const input = element("input", {
    type: "file", accept: PICTURES, hidden: true, tabindex: "-1", "aria-label": texts.choose, onchange: () => void choose(),
  });
  const show = () => {
    const has = pictureOf(me.user_id) !== null;
    const change = button(has ? texts.change : texts.choose, () => input.click());
    const remove = has && button(texts.remove, () => void set(null), { class: "link" });
    fill(
      place,
      avatar(me.user_id, straight(me.display_name)),
      element("div", {}, element("div", { class: "choices" }, change, remove, saving.node), element("small", { class: "note" }, texts.pictureHint), input),
    );
  };
  /** @param {File | null} file */
  const set = (file) =>
    saving.keep(async () => {
      const id = file && (await restApi.uploadAttachment(file)).attachment_id;
      await restApi.updateMe({ picture: id });
      learnPicture(me.user_id, id);
      show();
      await messenger.store.refreshMe();
    });
  const choose = async () => {
    const [file] = input.files ?? [];
    input.value = "";
    if (!file) return;
    try {
      const cropped = await crop(file);
      if (cropped) await set(cropped);
    } catch {
      saving.fail(texts.unreadable);
    }
  };
  learnPicture(me.user_id, me.picture ?? null);
  show();
  return place;
}

/** @param {Messenger} messenger @param {Me} me */
function name(messenger, me) {
  const saving = new Saving();
  const input = element("input", { name: "display_name", maxlength: 100, dir: "auto", autocomplete: "name", required: true, value: me.display_name });
  const save = element("button", { class: "primary" }, words.common.save);
  const keep = async () => {
    const chosen = input.value.trim();
    if (!chosen) return saving.fail(texts.nameMissing);
    await saving.keep(async () => {
      const changed = await messenger.messaging.restApi.updateMe({ display_name: chosen });
      messenger.names.learn(changed.user_id, changed.display_name);
      await messenger.store.refreshMe();
    });
  };
  return element(
    "form",
    { class: "inline", novalidate: true, onsubmit: (/** @type {Event} */ event) => (event.preventDefault(), void keep()) },
    row(texts.name, input, { hint: texts.nameHint, saving }),
    save,
  );
}

/** @param {Me} me */
function fixed(me) {
  const id = element("output", { class: "fixed" }, element("bdi", {}, me.user_id));
  return [
    element(
      "div",
      { class: "setting" },
      element("div", { class: "caption" }, element("span", {}, texts.userId)),
      element("div", { class: "choices" }, id, copyButton(texts.copy, () => me.user_id, { class: "link" })),
      element("small", { class: "note" }, texts.userIdHint),
    ),
    ...(me.admin ? [element("p", { class: "note" }, texts.admin)] : []),
  ];
}
