/** Public groups: found by name, looked at, joined. */

import { button, element, fill, icon, openDialog } from "../dom.js";
import { isolate, straight } from "../format.js";
import { avatar } from "../people/avatar.js";
import { learnPicture } from "../people/pictures.js";
import { problem } from "../problems.js";
import { counted, words } from "../words.js";
import { groupFace } from "./group-profile.js";

/** @import { Messenger } from "../messenger.js" */

/** @typedef {{ group_id: string, name: string, description: string, picture: string | null, members: number }} PublicGroup */

const texts = words.groups;
const PAUSE_MS = 200;
const AT_ONCE = 30;

/** Open the dialog of the public groups that one is not in. @param {Messenger} messenger */
export function browseGroups(messenger) {
  const { restApi } = messenger.messaging;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  let asked = 0;
  /** @type {PublicGroup[]} */
  let shown = [];
  const told = element("p", { class: "told", role: "status" });
  const failure = element("p", { class: "failure", role: "alert" });
  const list = element("ul", { class: "people", "aria-label": texts.browse });
  const more = button(texts.more, () => void search(shown.at(-1)?.group_id), { hidden: true });
  const look = (/** @type {PublicGroup} */ group) => preview(messenger, group, () => dialog.close());
  /** @param {string} [cursor] after which group of those that are shown; all anew without one */
  const search = async (cursor) => {
    const mine = ++asked;
    const q = input.value.trim();
    try {
      const page = await restApi.request("GET", "/api/public-groups", { query: { limit: AT_ONCE, ...(q && { q }), ...(cursor && { cursor }) } });
      if (mine !== asked) return;
      for (const { group_id, picture } of page.groups) learnPicture(group_id, picture);
      shown = cursor ? [...shown, ...page.groups] : page.groups;
      fill(list, ...shown.map((group) => drawLine(group, look)));
      fill(told, shown.length > 0 ? "" : q ? texts.noneCalled(q) : texts.nonePublic);
      fill(failure);
      more.hidden = !page.has_more;
    } catch (error) {
      if (mine === asked) fill(failure, problem(error));
    }
  };
  const typed = () => {
    asked += 1; // an answer that is on its way is to what was typed before
    clearTimeout(timer);
    timer = setTimeout(() => void search(), PAUSE_MS);
  };
  const input = element("input", {
    type: "search", dir: "auto", autocomplete: "off", autofocus: true, "aria-label": texts.find, placeholder: texts.find, oninput: typed,
  });
  const dialog = openDialog(texts.browse, element("div", { class: "public-groups" }, input, told, failure, list, more));
  dialog.classList.add("tall");
  void search();
}

/** @param {PublicGroup} group @param {(group: PublicGroup) => void} look */
function drawLine(group, look) {
  const name = straight(group.name);
  const description = group.description && [" · ", element("bdi", {}, straight(group.description))];
  return element(
    "li",
    {},
    element(
      "button",
      { type: "button", class: "person", onclick: () => look(group) },
      avatar(group.group_id, name),
      element("span", { class: "name" }, element("bdi", {}, name), element("small", {}, counted(group.members, texts.members), description)),
    ),
  );
}

/**
 * Open what a public group says of itself.
 *
 * @param {Messenger} messenger
 * @param {PublicGroup} group
 * @param {() => void} joined
 */
function preview(messenger, group, joined) {
  const entered = () => (dialog.close(), joined());
  const dialog = openDialog(texts.preview(isolate(straight(group.name))), drawOffer(messenger, group, entered));
}

/**
 * Draw what a public group says of itself, with the button that joins it.
 *
 * @param {Messenger} messenger
 * @param {PublicGroup} group
 * @param {() => void} joined called before the conversation is opened
 */
function drawOffer(messenger, group, joined) {
  const { messaging, names, store } = messenger;
  const failure = element("p", { class: "failure", role: "alert" });
  const enter = async () => {
    press.disabled = true;
    try {
      await messaging.restApi.request("POST", `/api/groups/${encodeURIComponent(group.group_id)}/join`, {});
      names.learn(group.group_id, group.name, { user: false });
      store.refresh();
      joined();
      await messenger.openConversation(group.group_id);
    } catch (error) {
      press.disabled = false;
      fill(failure, problem(error));
    }
  };
  const press = button(texts.join, () => void enter(), { class: "primary with-icon", autofocus: true, "aria-label": texts.joinThis(isolate(straight(group.name))) });
  press.prepend(icon("people"));
  const face = groupFace({ ...group, public: true }, group.members);
  return element("div", { class: "preview" }, face, failure, element("p", { class: "choices" }, press));
}

/**
 * Return the offer to join a public group, for who followed a link to it; null where there is none of this id.
 *
 * @param {Messenger} messenger
 * @param {string} id
 * @param {() => void} joined
 */
export async function offerGroup(messenger, id, joined) {
  try {
    /** @type {PublicGroup} */
    const group = await messenger.messaging.restApi.request("GET", `/api/public-groups/${encodeURIComponent(id)}`);
    learnPicture(group.group_id, group.picture);
    messenger.names.learn(group.group_id, group.name, { user: false });
    return drawOffer(messenger, group, joined);
  } catch (error) {
    if (/** @type {any} */ (error).code !== "not_found") messenger.failed(error);
    return null;
  }
}
