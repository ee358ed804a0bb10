/** The members of a group, and what this user may change about them. */

import { ask, button, element, fill, icon, openDialog } from "./dom.js";
import { isolate } from "./format.js";
import { directory, person } from "./people.js";

/** @import { Messenger } from "./messenger.js" */
/** @import { Group, Member, User } from "../sdk/types.js" */

/**
 * Open the dialog of a group's members.
 *
 * @param {Messenger} messenger
 * @param {string} groupId
 */
export function showMembers(messenger, groupId) {
  const { messaging, names, session } = messenger;
  const failure = element("p", { class: "failure", role: "alert" });
  const place = element("div", {});
  const dialog = openDialog("Group", place, failure);

  /** @param {() => Promise<unknown>} change */
  const act = async (change) => {
    try {
      await change();
      fill(failure);
      await load();
    } catch (error) {
      fill(failure, error instanceof Error ? error.message : String(error));
    }
  };

  /** @param {Member} member @param {boolean} manages */
  const drawMember = ({ user_id, role }, manages) => {
    const name = names.of(user_id);
    const remove = () => void act(() => messaging.removeMember(groupId, user_id));
    const removable = manages && role !== "owner" && user_id !== session.userId;
    return element(
      "li",
      { class: "person" },
      ...person({ user_id, display_name: name }),
      role !== "member" && element("small", { class: "role" }, role),
      removable && button(`Remove ${isolate(name)}`, remove, { sign: icon("close"), class: "quiet" }),
    );
  };

  /** @param {Group} group */
  const drawAdding = ({ members }) => {
    const add = (/** @type {User} */ user) => void act(() => messaging.addMember(groupId, user.user_id));
    const isNew = (/** @type {User} */ user) => !members.some(({ user_id }) => user_id === user.user_id);
    const people = directory(messenger, (user) =>
      element(
        "li",
        { hidden: !isNew(user) },
        element("button", { type: "button", class: "person", onclick: () => add(user) }, ...person(user)),
      ),
    );
    return element("details", {}, element("summary", {}, "Add somebody"), people);
  };

  /** @param {Group} group */
  const drawName = ({ name }) => {
    const input = element("input", { value: name, required: true, maxlength: 100, dir: "auto", "aria-label": "Group name" });
    return element(
      "form",
      {
        class: "rename",
        onsubmit: (/** @type {Event} */ event) => {
          event.preventDefault();
          void act(() => messaging.renameGroup(groupId, input.value.trim()));
        },
      },
      input,
      element("button", {}, "Rename"),
    );
  };

  const leave = async () => {
    if (!(await ask("Leave this group? You can no longer read what was said in it, and get nothing more.", "Leave"))) return;
    await act(async () => {
      await messaging.leaveGroup(groupId);
      dialog.close();
      location.hash = "";
    });
  };

  const list = element("ul", { class: "people" });
  /** @type {Group | null} */
  let group = null;

  const drawList = () => {
    const manages = managesIt();
    fill(list, ...(group?.members ?? []).map((member) => drawMember(member, manages)));
  };
  const role = () => group?.members.find(({ user_id }) => user_id === session.userId)?.role;
  const managesIt = () => role() === "owner" || role() === "admin";

  const load = async () => {
    if (!dialog.open) return;
    group = await messaging.restApi.getGroup(groupId);
    const manages = managesIt();
    const leaving = element(
      "p",
      { class: "choice" },
      button("Leave group", () => void leave(), { class: "danger" }),
    );
    fill(place, manages && drawName(group), list, manages && drawAdding(group), role() !== "owner" && leaving);
    drawList();
  };

  dialog.addEventListener("close", names.onChange(drawList));
  void act(async () => {});
  return dialog;
}
