/** The upper part of a group's dialog: its picture, its name, what it is for; and how those who manage it change that. */

import { button, element, field, fill, icon } from "../dom.js";
import { straight } from "../format.js";
import { avatar } from "../people/avatar.js";
import { learnPicture, pictureOf } from "../people/pictures.js";
import { fieldProblem, problem } from "../problems.js";
import { crop, PICTURES } from "../settings/crop.js";
import { Saving } from "../settings/parts.js";
import { counted, words } from "../words.js";

/** @import { Messenger } from "../messenger.js" */
/** @import { Group } from "../../sdk/types.js" */

const texts = words.groups;
const LONGEST_DESCRIPTION = 1000;

/**
 * Draw a group's picture, name and description, as all see them.
 *
 * @param {Pick<Group, "group_id" | "name" | "description" | "public" | "closed">} group
 * @param {number} members how many
 * @param {(() => void) | false} [edit] opens the form that changes them, for those who may
 */
export function groupFace(group, members, edit = false) {
  const state = [counted(members, texts.members), group.public && texts.public, group.closed && texts.closed].filter(Boolean).join(" · ");
  const name = straight(group.name);
  return element(
    "div",
    { class: "group-face" },
    avatar(group.group_id, name),
    element("h3", {}, element("bdi", {}, name), edit && button(texts.edit, edit, { sign: icon("edit"), class: "quiet" })),
    element("p", { class: "about" }, state),
    group.description && element("p", { class: "description", dir: "auto" }, group.description),
  );
}

/**
 * Draw the form that changes a group's picture, name and description.
 *
 * @param {Messenger} messenger
 * @param {Group} group
 * @param {(group: Group | null) => void} done gets the group as it is now; null where nothing was saved
 */
export function groupForm(messenger, group, done) {
  const failure = element("p", { class: "failure", role: "alert" });
  const wrong = element("p", { class: "failure", role: "alert", id: "group-wrong-name" });
  const name = element("input", {
    name: "name", value: group.name, maxlength: 100, dir: "auto", autocomplete: "off", "aria-describedby": wrong.id,
    oninput: () => (fill(wrong), name.removeAttribute("aria-invalid")),
  });
  const description = descriptionField(group.description);
  const refuse = (/** @type {string} */ why) => {
    fill(wrong, why);
    name.setAttribute("aria-invalid", "true");
    name.focus();
  };
  const save = async () => {
    const called = name.value.trim();
    if (!called) return refuse(words.people.groupNameMissing);
    try {
      const body = { ...(called !== group.name && { name: called }), description: description.value.trim() };
      done(await messenger.messaging.restApi.updateGroup(group.group_id, body));
    } catch (error) {
      const about = fieldProblem(error, "name");
      if (about) refuse(about);
      else fill(failure, problem(error));
    }
  };
  return element(
    "form",
    { class: "group-form", novalidate: true, onsubmit: (/** @type {Event} */ event) => (event.preventDefault(), void save()) },
    groupPicture(messenger, group),
    field(texts.name, name),
    wrong,
    field(texts.description, description),
    element("small", { class: "note" }, texts.descriptionHint),
    failure,
    element("p", { class: "choice" }, button(words.common.cancel, () => done(null)), element("button", { class: "primary" }, words.common.save)),
  );
}

/** Draw the field that says what a group is for. @param {string} [text] */
export function descriptionField(text = "") {
  const area = element("textarea", { name: "description", maxlength: LONGEST_DESCRIPTION, rows: 3, dir: "auto" });
  area.value = text;
  return area;
}

/** @param {Messenger} messenger @param {Group} group */
function groupPicture({ messaging: { restApi } }, { group_id: id, name }) {
  const saving = new Saving();
  /** @param {File | null} file */
  const set = (file) =>
    saving.keep(async () => {
      const picture = file && (await restApi.uploadAttachment(file)).attachment_id;
      await restApi.updateGroup(id, { picture });
      learnPicture(id, picture);
      portrait.show();
    });
  const portrait = pictureField({ face: () => avatar(id, straight(name)), has: () => pictureOf(id) !== null, set, saving });
  return portrait.node;
}

/**
 * Draw a picture with the buttons that choose another one and take it away.
 *
 * @param {{ face: () => HTMLElement, has: () => boolean, set: (file: File | null) => unknown, saving: Saving }} picture
 *   has: whether there is one; saving: says what goes wrong
 */
export function pictureField({ face, has, set, saving }) {
  const { choose: chooseText, change, remove, unreadable } = words.settings.profile;
  const node = element("div", { class: "portrait", role: "group", "aria-label": texts.picture });
  const input = element("input", { type: "file", accept: PICTURES, hidden: true, tabindex: "-1", "aria-label": texts.picture, onchange: () => void choose() });
  const show = () => {
    const there = has();
    const press = button(there ? change : chooseText, () => input.click());
    const choices = element("div", { class: "choices" }, press, there && button(remove, () => void set(null), { class: "link" }), saving.node);
    fill(node, face(), element("div", {}, choices, input));
  };
  const choose = async () => {
    const [file] = input.files ?? [];
    input.value = "";
    if (!file) return;
    try {
      const cropped = await crop(file);
      if (cropped) await set(cropped);
    } catch {
      saving.fail(unreadable);
    }
  };
  show();
  return { node, show };
}
