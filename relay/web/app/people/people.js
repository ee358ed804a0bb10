/** The directory of users: to begin a conversation, or to create a group. */

import { avatar } from "./avatar.js";
import { inviteButton } from "../settings/invite.js";
import { browseGroups } from "../groups/browse.js";
import { descriptionField, pictureField } from "../groups/group-profile.js";
import { learnPicture } from "./pictures.js";
import { button, element, field, fill, icon, openDialog } from "../dom.js";
import { straight } from "../format.js";
import { fieldProblem, problem } from "../problems.js";
import { Saving, toggle as drawSwitch } from "../settings/parts.js";
import { rank } from "../sidebar/matching.js";
import { words } from "../words.js";

/** @import { Messenger } from "../messenger.js" */
/** @import { User } from "../../sdk/types.js" */

/** @typedef {Pick<User, "user_id" | "display_name">} Person */

const PAUSE_MS = 200;
const MAX_RESULTS = 30;

/**
 * Return a box to search for users: those known here are shown at once, also without a network; the server adds others.
 *
 * @param {Messenger} messenger
 * @param {(user: Person) => HTMLElement} draw
 * @param {{ label?: string, autofocus?: boolean, enter?: (user: Person) => void, after?: (typed: string) => HTMLElement[] }} [options]
 *   enter: called with the first person found when Enter is pressed; after: lines below those found
 */
export function directory(messenger, draw, { label = words.people.find, autofocus = true, enter, after = () => [] } = {}) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  let asked = 0;
  /** @type {Person[]} */
  let found = [];
  const told = element("p", { class: "told", role: "status" });
  const list = element("ul", { class: "people", "aria-label": label });
  const show = (/** @type {Person[]} */ people) => {
    found = people;
    fill(list, ...people.map(draw), ...after(input.value.trim()));
  };
  const search = async () => {
    const mine = ++asked;
    const typed = input.value.trim();
    try {
      const { users } = await messenger.messaging.restApi.findUsers(typed, { limit: MAX_RESULTS });
      if (mine !== asked) return;
      const others = users.filter(({ user_id }) => user_id !== messenger.session.userId);
      for (const { user_id, display_name, picture } of others) {
        learnPicture(user_id, picture);
        messenger.names.learn(user_id, display_name);
      }
      fill(told, others.length > 0 ? "" : typed ? words.people.nobodyCalled(typed) : words.people.nobodyYet);
      show(others);
    } catch (error) {
      if (mine === asked) fill(told, problem(error));
    }
  };
  const typedAnew = () => {
    asked += 1; // an answer that is on its way is to what was typed before
    clearTimeout(timer);
    timer = setTimeout(() => void search(), PAUSE_MS);
    show(knownPeople(messenger, input.value.trim()));
  };
  const press = (/** @type {KeyboardEvent} */ event) => {
    if (event.key === "ArrowDown") {
      event.preventDefault();
      /** @type {HTMLElement | null} */ (list.querySelector("button, input"))?.focus();
    }
    if (event.key !== "Enter" || event.isComposing) return;
    event.preventDefault(); // of a form around it
    if (enter && found.length > 0) enter(found[0]);
  };
  const input = element("input", { type: "search", dir: "auto", autocomplete: "off", "aria-label": label, autofocus, oninput: typedAnew, onkeydown: press });
  show(knownPeople(messenger, ""));
  void search();
  return element("div", { class: "directory" }, field(label, input), told, list);
}

/** Return the people with whom there are conversations, by what was typed of their names. @param {Messenger} messenger @param {string} typed @returns {Person[]} */
function knownPeople({ store, names, session }, typed) {
  return store.conversations
    .filter(({ kind, target }) => kind === "user" && target !== session.userId)
    .map((summary) => ({ user_id: summary.target, display_name: names.title(summary) }))
    .filter(({ user_id, display_name }) => rank(typed, display_name, user_id) <= 2)
    .slice(0, MAX_RESULTS);
}

/**
 * Open the dialog that begins a conversation or creates a group.
 *
 * @param {Messenger} messenger
 */
export function startConversation(messenger) {
  const { store, session } = messenger;
  const choose = (/** @type {string} */ userId) => {
    dialog.close();
    void messenger.openConversation(userId);
  };
  const draw = (/** @type {Person} */ user) =>
    element("li", {}, element("button", { type: "button", class: "person", onclick: () => choose(user.user_id) }, ...person(user)));
  /** One's own notes, where they are meant. @param {string} typed */
  const yourself = (typed) => {
    const name = straight(store.me?.display_name ?? session.userId);
    if (rank(typed, name, session.userId, words.people.yourself) > 2) return [];
    const line = [avatar(session.userId, name), element("span", { class: "name" }, words.people.yourself, element("small", {}, words.people.yourselfNote))];
    return [element("li", {}, element("button", { type: "button", class: "person", onclick: () => choose(session.userId) }, ...line))];
  };
  const people = directory(messenger, draw, { label: words.people.name, enter: ({ user_id }) => choose(user_id), after: yourself });
  const group = button(words.people.newGroup, () => (dialog.close(), createGroup(messenger)), { class: "with-icon" });
  group.prepend(icon("group"));
  const browse = button(words.groups.browse, () => void (dialog.close(), browseGroups(messenger)), { class: "with-icon" });
  browse.prepend(icon("search"));
  const dialog = openDialog(words.people.newConversation, people, element("p", { class: "ways" }, group, browse, inviteButton(messenger)));
}

/**
 * Open the dialog that creates a group.
 *
 * @param {Messenger} messenger
 */
export function createGroup(messenger) {
  /** @type {Map<string, Person>} */
  const chosen = new Map();
  const failure = element("p", { class: "failure", role: "alert" });
  const wrong = element("p", { class: "failure", role: "alert", id: "group-name-problem" });
  const chips = element("ul", { class: "chips", "aria-label": words.people.chosen });
  const toggle = (/** @type {Person} */ user) => {
    if (!chosen.delete(user.user_id)) chosen.set(user.user_id, user);
    fill(chips, ...[...chosen.values()].map((one) => drawChip(one, () => remove(one))));
  };
  const remove = (/** @type {Person} */ user) => {
    toggle(user);
    for (const box of people.querySelectorAll("input")) if (box.value === user.user_id) box.checked = false;
    people.querySelector("input")?.focus();
  };
  const people = directory(
    messenger,
    (user) =>
      element(
        "li",
        {},
        element(
          "label",
          { class: "person" },
          ...person(user),
          element("input", { type: "checkbox", value: user.user_id, checked: chosen.has(user.user_id), onchange: () => toggle(user) }),
        ),
      ),
    { label: words.people.members, autofocus: false },
  );
  const name = element("input", {
    name: "name", maxlength: 100, dir: "auto", autocomplete: "off", autofocus: true, "aria-describedby": wrong.id,
    oninput: () => (fill(wrong), name.removeAttribute("aria-invalid")),
  });
  const description = descriptionField();
  let published = false;
  const isPublic = drawSwitch(words.groups.public, false, { hint: words.groups.publicHint, changed: (on) => (published = on) });
  /** @type {File | null} */
  let chosenPicture = null;
  /** @type {string | null} */
  let uploaded = null;
  const setPicture = (/** @type {File | null} */ file) => ((chosenPicture = file), (uploaded = null), picture.show());
  const face = () => (chosenPicture ? newFace(chosenPicture) : avatar("", name.value.trim() || "+"));
  const picture = pictureField({ face, has: () => chosenPicture !== null, set: setPicture, saving: new Saving() });
  const form = element(
    "form",
    {
      novalidate: true,
      onsubmit: (/** @type {Event} */ event) => {
        event.preventDefault();
        void create();
      },
    },
    element("div", { class: "face-and-name" }, picture.node, field(words.people.groupName, name)),
    wrong,
    element("details", {}, element("summary", {}, words.people.moreOfGroup), field(words.groups.description, description), isPublic),
    chips,
    people,
    failure,
    element("p", { class: "choice" }, element("button", { class: "primary" }, words.people.create)),
  );
  const dialog = openDialog(words.people.newGroup, form);

  async function create() {
    const called = name.value.trim();
    if (!called) return refuse(words.people.groupNameMissing);
    try {
      const { restApi } = messenger.messaging;
      uploaded ??= chosenPicture && (await restApi.uploadAttachment(chosenPicture)).attachment_id;
      const { group_id } = await restApi.createGroup({
        name: called,
        members: [...chosen.keys()],
        ...(description.value.trim() && { description: description.value.trim() }),
        ...(uploaded && { picture: uploaded }),
        ...(published && { public: true }),
      });
      learnPicture(group_id, uploaded);
      messenger.names.learn(group_id, called, { user: false });
      dialog.close();
      await messenger.openConversation(group_id);
    } catch (error) {
      const about = fieldProblem(error, "name");
      if (about) refuse(about);
      else fill(failure, problem(error));
    }
  }

  /** @param {string} why */
  function refuse(why) {
    fill(wrong, why);
    name.setAttribute("aria-invalid", "true");
    name.focus();
  }
}

/** Draw a picture that is not stored yet. @param {File} file */
function newFace(file) {
  const url = URL.createObjectURL(file);
  return element("span", { class: "avatar", "aria-hidden": "true" }, element("img", { src: url, alt: "", onload: () => URL.revokeObjectURL(url) }));
}

/** @param {Person} user @param {() => void} remove */
function drawChip({ display_name }, remove) {
  const name = straight(display_name);
  return element(
    "li",
    {},
    element("button", { type: "button", class: "chip", "aria-label": words.people.remove(name), onclick: remove }, element("bdi", {}, name), icon("close")),
  );
}

/** @param {Person} user */
export function person({ user_id, display_name }) {
  return [
    avatar(user_id, display_name),
    element("span", { class: "name" }, element("bdi", {}, straight(display_name)), display_name !== user_id && element("small", {}, user_id)),
  ];
}
