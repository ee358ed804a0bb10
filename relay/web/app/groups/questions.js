/** What changes who owns a group, or takes it away: asked before it is done, in words that say what follows. */

import { ask, button, element, fill, KeyedList, openDialog } from "../dom.js";
import { isolate } from "../format.js";
import { person } from "../people/people.js";
import { problem } from "../problems.js";
import { rank } from "../sidebar/matching.js";
import { counted, words } from "../words.js";

/** @import { Messenger } from "../messenger.js" */
/** @import { Group, Member } from "../../sdk/types.js" */

const texts = words.groups;
/** From so many members on, they are searched. */
const MANY = 8;

/**
 * Leave a group, if the user means it. Its owner is told to hand it on or to delete it.
 *
 * @param {Messenger} messenger
 * @param {string} groupId
 */
export async function leaveGroup(messenger, groupId) {
  const { failed, messaging, session } = messenger;
  try {
    const group = await messaging.restApi.getGroup(groupId);
    const own = group.members.find(({ user_id }) => user_id === session.userId);
    if (own?.role === "owner") return ownerLeaves(messenger, group);
    const why = group.public ? texts.leaveWhyPublic : texts.leaveWhy;
    if (await ask(texts.leaveQuestion(isolate(group.name)), texts.leaveYes, why)) await messaging.leaveGroup(groupId);
  } catch (error) {
    failed(error);
  }
}

/** Tell an owner how they can leave. @param {Messenger} messenger @param {Group} group */
function ownerLeaves(messenger, group) {
  const alone = group.members.length === 1;
  const next = (/** @type {() => unknown} */ act) => () => (dialog.close(), act());
  const choice = element(
    "p",
    { class: "choice" },
    button(words.common.cancel, () => dialog.close(), { autofocus: true }),
    button(texts.delete, next(() => deleteGroup(messenger, group)), { class: "danger" }),
    !alone && button(texts.handOn, next(() => chooseOwner(messenger, group)), { class: "primary" }),
  );
  const dialog = openDialog(texts.ownerLeaves(isolate(group.name)), element("p", {}, alone ? texts.ownerAloneWhy : texts.ownerLeavesWhy), choice);
}

/**
 * Delete a group for everybody, if its owner means it.
 *
 * @param {Messenger} messenger
 * @param {Group} group
 */
export async function deleteGroup(messenger, group) {
  const why = texts.deleteWhy(counted(group.members.length, texts.members));
  if (!(await ask(texts.deleteQuestion(isolate(group.name)), texts.delete, why))) return;
  await messenger.messaging.restApi.deleteGroup(group.group_id).catch(messenger.failed);
}

/**
 * Close a group, if its owner means it; tells whether it was done.
 *
 * @param {Messenger} messenger
 * @param {Group} group
 */
export async function closeGroup(messenger, group) {
  if (!(await ask(texts.closeQuestion(isolate(group.name)), texts.closeYes, texts.closeWhy))) return false;
  await messenger.messaging.restApi.updateGroup(group.group_id, { closed: true });
  return true;
}

/**
 * Have the owner choose a member to hand the group on to.
 *
 * @param {Messenger} messenger
 * @param {Group} group
 */
export function chooseOwner(messenger, group) {
  const others = group.members.filter(({ user_id }) => user_id !== messenger.session.userId);
  const failure = element("p", { class: "failure", role: "alert" });
  const chosen = async (/** @type {string} */ userId) => {
    try {
      if (await handOn(messenger, group, userId)) dialog.close();
    } catch (error) {
      fill(failure, problem(error));
    }
  };
  const list = searchedMembers(messenger, others, ({ user_id }) => {
    const who = person({ user_id, display_name: messenger.names.of(user_id) });
    return element("li", {}, element("button", { type: "button", class: "person", onclick: () => void chosen(user_id) }, ...who));
  });
  const dialog = openDialog(texts.handOnTitle(isolate(group.name)), list.node, failure);
  dialog.addEventListener("close", messenger.names.onChange(list.draw));
}

/**
 * Make a member the owner, if the present owner means it; tells whether it was done.
 *
 * @param {Messenger} messenger
 * @param {Group} group
 * @param {string} userId
 */
export async function handOn(messenger, group, userId) {
  const question = texts.handOnQuestion(isolate(messenger.names.of(userId)), isolate(group.name));
  if (!(await ask(question, texts.handOnYes, texts.handOnWhy))) return false;
  await messenger.messaging.addMember(group.group_id, userId, "owner");
  return true;
}

/**
 * Return a list of members, with a search where they are many.
 *
 * @param {Messenger} messenger
 * @param {readonly Member[]} members
 * @param {(member: Member) => HTMLElement} drawOne
 */
export function searchedMembers({ names }, members, drawOne) {
  let shown = members;
  let rights = "";
  const list = element("ul", { class: "people", "aria-label": texts.membersTitle });
  const told = element("p", { class: "told", role: "status" });
  const input = element("input", {
    type: "search", dir: "auto", autocomplete: "off", placeholder: texts.findMember, "aria-label": texts.findMember, oninput: () => draw(),
  });
  // A line stays as long as it says the same: a menu that is open belongs to a button in it.
  const lines = new KeyedList(list, {
    key: (/** @type {{ member: Member, as: string }} */ { member }) => member.user_id,
    same: (one, other) => one.as === other.as,
    draw: ({ member }) => drawOne(member),
  });
  const draw = () => {
    const typed = input.value.trim();
    const found = shown.filter(({ user_id }) => !typed || rank(typed, names.of(user_id), user_id) <= 2);
    input.hidden = shown.length < MANY;
    fill(told, found.length === 0 && typed ? texts.noSuchMember(typed) : "");
    lines.show(found.map((member) => ({ member, as: `${member.role} ${rights} ${names.of(member.user_id)}` })));
  };
  /** @param {readonly Member[]} changed @param {string} may what the user may do with them: another one draws them anew */
  const show = (changed, may) => {
    [shown, rights] = [changed, may];
    draw();
  };
  draw();
  return { node: element("div", { class: "directory" }, input, told, list), draw, show };
}
