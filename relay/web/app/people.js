/** The directory of users: to begin a conversation, or to create a group. */

import { avatar } from "./avatar.js";
import { button, element, fill, openDialog } from "./dom.js";
import { isolate, straight } from "./format.js";

/** @import { Messenger } from "./messenger.js" */
/** @import { User } from "../sdk/types.js" */

const PAUSE_MS = 200;
const MAX_RESULTS = 30;

/**
 * Return a box to search for users.
 *
 * @param {Messenger} messenger
 * @param {(user: User) => HTMLElement} draw
 */
export function directory(messenger, draw) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  let asked = 0;
  const told = element("p", { class: "told", role: "status" });
  const list = element("ul", { class: "people" });
  const search = async () => {
    const mine = ++asked;
    try {
      const { users } = await messenger.messaging.restApi.findUsers(input.value.trim(), { limit: MAX_RESULTS });
      if (mine !== asked) return;
      const others = users.filter(({ user_id }) => user_id !== messenger.session.userId);
      for (const { user_id, display_name } of others) messenger.names.learn(user_id, display_name);
      fill(told, others.length === 0 ? "Nobody found." : "");
      fill(list, ...others.map(draw));
    } catch (error) {
      fill(told, error instanceof Error ? error.message : String(error));
    }
  };
  const later = () => (clearTimeout(timer), (timer = setTimeout(() => void search(), PAUSE_MS)));
  const input = element("input", {
    type: "search",
    placeholder: "Name",
    dir: "auto",
    "aria-label": "Find people",
    autofocus: true,
    oninput: later,
  });
  void search();
  return element("div", { class: "directory" }, input, told, list);
}

/**
 * Open the dialog that begins a conversation or creates a group.
 *
 * @param {Messenger} messenger
 */
export function startConversation(messenger) {
  const choose = (/** @type {User} */ user) => {
    dialog.close();
    void messenger.openConversation(user.user_id);
  };
  const people = directory(messenger, (user) =>
    element(
      "li",
      {},
      element("button", { type: "button", class: "person", onclick: () => choose(user) }, ...person(user)),
    ),
  );
  const group = button("New group", () => (dialog.close(), createGroup(messenger)), { class: "primary" });
  const dialog = openDialog("New conversation", people, element("p", { class: "choice" }, group));
}

/** @param {Messenger} messenger */
function createGroup(messenger) {
  /** @type {Map<string, User>} */
  const chosen = new Map();
  const told = element("p", { class: "told", role: "status" });
  const failure = element("p", { class: "failure", role: "alert" });
  const toggle = (/** @type {User} */ user) => {
    if (!chosen.delete(user.user_id)) chosen.set(user.user_id, user);
    fill(told, [...chosen.values()].map(({ display_name }) => isolate(display_name)).join(", "));
  };
  const people = directory(messenger, (user) =>
    element(
      "li",
      {},
      element(
        "label",
        { class: "person" },
        ...person(user),
        element("input", { type: "checkbox", checked: chosen.has(user.user_id), onchange: () => toggle(user) }),
      ),
    ),
  );
  const name = element("input", {
    name: "name",
    required: true,
    maxlength: 100,
    placeholder: "What the group is called",
    dir: "auto",
    "aria-label": "Group name",
  });
  const form = element(
    "form",
    {
      onsubmit: (/** @type {Event} */ event) => {
        event.preventDefault();
        void create();
      },
    },
    name,
    people,
    told,
    failure,
    element("p", { class: "choice" }, element("button", { class: "primary" }, "Create group")),
  );
  const dialog = openDialog("New group", form);

  async function create() {
    try {
      const called = name.value.trim();
      const { group_id } = await messenger.messaging.createGroup(called, [...chosen.keys()]);
      messenger.names.learn(group_id, called, { user: false });
      dialog.close();
      await messenger.openConversation(group_id);
    } catch (error) {
      fill(failure, error instanceof Error ? error.message : String(error));
    }
  }
}

/** @param {User} user */
export function person({ user_id, display_name }) {
  return [
    avatar(user_id, display_name),
    element("span", { class: "name" }, element("bdi", {}, straight(display_name)), display_name !== user_id && element("small", {}, user_id)),
  ];
}
