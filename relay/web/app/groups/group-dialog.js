/** The dialog of a group: what it is, who is in it, and what this user may change about that. */

import { ask, button, element, fill, icon, openDialog } from "../dom.js";
import { isolate, straight } from "../format.js";
import { drawInForce } from "../moderation/in-force.js";
import { openRestrict } from "../moderation/restrict-dialog.js";
import { openMenu } from "../menu.js";
import { directory, person } from "../people/people.js";
import { openPerson } from "../people/person-dialog.js";
import { learnPicture } from "../people/pictures.js";
import { problem } from "../problems.js";
import { Saving, toggle } from "../settings/parts.js";
import { words } from "../words.js";
import { groupFace, groupForm } from "./group-profile.js";
import { drawRights } from "./group-rights.js";
import { drawSlowMode } from "./group-slow-mode.js";
import { chooseOwner, closeGroup, deleteGroup, handOn, leaveGroup, searchedMembers } from "./questions.js";

/** @import { Messenger } from "../messenger.js" */
/** @import { Group, GroupChange, Member, Role, User } from "../../sdk/types.js" */

const texts = words.groups;

/** Open the dialog of a group. @param {Messenger} messenger @param {string} groupId */
export function openGroup(messenger, groupId) {
  return new GroupDialog(messenger, groupId).dialog;
}

class GroupDialog {
  /** @type {Group | null} */
  #group = null;
  #newest = 0;
  #editing = false;
  #face = element("div", { class: "face-place" });
  #settings = element("div", { class: "group-settings" });
  #inForce = element("div", {});
  #ends = element("p", { class: "ends" });
  #failure = element("p", { class: "failure", role: "alert" });
  #saving = new Saving();
  #savingRights = new Saving();
  #savingSlow = new Saving();
  /** What the settings were drawn for. */
  #drawn = "";

  /** @param {Messenger} messenger @param {string} groupId */
  constructor(messenger, groupId) {
    const { names, store } = messenger;
    this.messenger = messenger;
    this.id = groupId;
    this.members = searchedMembers(messenger, [], (member) => this.#drawMember(member));
    this.add = button(texts.add, () => this.#openAdding(), { class: "with-icon", hidden: true });
    this.add.prepend(icon("invite"));
    const heading = element("header", {}, element("h3", {}, texts.membersTitle), this.add);
    const members = element("section", { class: "group-members", "aria-label": texts.membersTitle }, heading, this.#failure, this.members.node);
    this.dialog = openDialog(texts.title, element("div", { class: "group-body" }, this.#face, members, this.#inForce, this.#settings, this.#ends));
    this.dialog.classList.add("tall");
    const ends = [names.onChange(() => this.members.draw()), store.subscribe(`conversation:${groupId}`, () => this.#changed())];
    this.dialog.addEventListener("close", () => ends.forEach((end) => end()));
    this.#newest = this.#event();
    void this.#act(async () => {});
  }

  get #role() {
    return this.#group?.members.find(({ user_id }) => user_id === this.messenger.session.userId)?.role;
  }

  /** Tell whether this user may do something in the group. @param {string} act */
  #may(act) {
    return this.#group?.may?.includes(act) ?? false;
  }

  /** The position of the group's newest event: somebody else may change the group while this is open. */
  #event() {
    return this.messenger.store.conversation(this.id).messages.findLast(({ type }) => type === "group_event")?.seq ?? 0;
  }

  #changed() {
    if (this.messenger.store.conversation(this.id).over) return this.dialog.close();
    const newest = this.#event();
    if (newest === this.#newest) return;
    this.#newest = newest;
    void this.#act(async () => {});
  }

  /** Make a change, and show the group as it is then. @param {() => Promise<unknown>} change */
  async #act(change) {
    try {
      await change();
      if (!this.dialog.open) return;
      this.#show(await this.messenger.messaging.restApi.getGroup(this.id));
      fill(this.#failure);
    } catch (error) {
      fill(this.#failure, problem(error));
    }
  }

  /** @param {Group} group */
  #show(group) {
    this.#group = group;
    learnPicture(this.id, group.picture);
    this.add.hidden = !this.#may("invite");
    if (!this.#editing) this.#drawFace(group);
    this.members.show(group.members, this.#role ?? "");
    this.#drawSettings(group);
    void this.#drawInForce();
    this.#drawEnds(group);
  }

  /** @param {Group} group */
  #drawFace(group) {
    const edit = () => {
      this.#editing = true;
      fill(this.#face, groupForm(this.messenger, group, (changed) => this.#edited(changed)));
      /** @type {HTMLElement | null} */ (this.#face.querySelector("[name=name]"))?.focus();
    };
    const inside = this.#face.contains(document.activeElement);
    fill(this.#face, groupFace(group, group.members.length, this.#may("edit_profile") && edit));
    if (inside) this.#face.querySelector("button")?.focus();
  }

  /** @param {Group | null} changed */
  #edited(changed) {
    this.#editing = false;
    const group = changed ?? this.#group;
    if (group) this.#show(group);
  }

  /** @param {Member} member */
  #drawMember(member) {
    const { names, session } = this.messenger;
    const { user_id: userId, role } = member;
    const known = names.of(userId);
    const name = userId === session.userId ? texts.you(known) : known;
    const actions = this.#actions(member);
    const manage = button(texts.manage(isolate(known)), () => openMenu(known, manage, actions), {
      sign: icon("more"), class: "quiet", "aria-haspopup": "menu",
    });
    const about = { type: "button", class: "person", onclick: () => openPerson(this.messenger, userId) };
    const called = texts.roles[role];
    return element(
      "li",
      { class: "member", "data-user": userId },
      element("button", about, ...person({ user_id: userId, display_name: name }), called && element("small", { class: "role" }, called)),
      actions.length > 0 ? manage : this.#may("remove_member") && element("span", { class: "gap" }),
    );
  }

  /** Return what this user may do with a member. @param {Member} member */
  #actions({ user_id: userId, role }) {
    const { messaging, session } = this.messenger;
    if (role === "owner" || userId === session.userId) return [];
    const setRole = (/** @type {Role} */ to) => async () => {
      await this.#act(() => messaging.addMember(this.id, userId, to));
      /** @type {HTMLElement | null} */ (this.members.node.querySelector(`[data-user="${CSS.escape(userId)}"] [aria-haspopup]`))?.focus();
    };
    const rank =
      role === "admin"
        ? { label: texts.takeBack, icon: "person", press: setRole("member") }
        : { label: texts.makeAdmin, icon: "shield", press: setRole("admin") };
    const hand = { label: texts.handOn, icon: "key", press: () => this.#handOn(userId) };
    const remove = { label: texts.remove, icon: "close", danger: true, press: () => this.#remove(userId) };
    const restrict = (/** @type {"timeout" | "ban"} */ kind) => () => void this.#restrict(kind, userId);
    const outranks = this.#may("remove_member") && (this.#role === "owner" || role === "member");
    const timeout = { label: words.moderation.timeout.entry, icon: "mute", press: restrict("timeout") };
    const ban = { label: words.moderation.ban.entry, icon: "shut", danger: true, press: restrict("ban") };
    return [
      ...(this.#may("change_role") ? [rank] : []),
      ...(this.#may("hand_on") ? [hand] : []),
      ...(outranks ? [timeout] : []),
      ...(this.#may("remove_member") ? [remove] : []),
      ...(outranks ? [ban] : []),
    ];
  }

  // A member's line outlives a change of the group: what it asks names the group as it is when asked.
  /** @param {string} userId */
  async #handOn(userId) {
    const group = this.#group;
    if (group) await this.#act(() => handOn(this.messenger, group, userId));
  }

  /** @param {string} userId */
  async #remove(userId) {
    const group = this.#group;
    if (!group) return;
    const question = texts.removeQuestion(isolate(this.messenger.names.of(userId)), isolate(group.name));
    if (!(await ask(question, texts.removeYes, texts.removeWhy))) return;
    await this.#act(() => this.messenger.messaging.removeMember(this.id, userId));
    if (this.dialog.open) this.add.focus();
  }

  /** @param {"timeout" | "ban"} kind @param {string} userId */
  async #restrict(kind, userId) {
    const group = this.#group;
    if (group && (await openRestrict(this.messenger, kind, userId, { id: this.id, name: group.name }))) await this.#act(async () => {});
  }

  /** Draw the timeouts and bans that are in force, to who may lift them. */
  async #drawInForce() {
    const drawn = this.#may("remove_member") ? await drawInForce(this.messenger, this.id, () => void this.#act(async () => {})) : null;
    fill(this.#inForce, drawn);
  }

  #openAdding() {
    const { messaging } = this.messenger;
    const failure = element("p", { class: "failure", role: "alert" });
    const members = new Set(this.#group?.members.map(({ user_id }) => user_id));
    /** @param {Pick<User, "user_id">} user @param {HTMLButtonElement} pressed */
    const add = async ({ user_id: userId }, pressed) => {
      pressed.disabled = true;
      try {
        const group = await messaging.addMember(this.id, userId);
        fill(failure);
        pressed.append(element("small", { class: "role", role: "status" }, texts.added));
        if (this.dialog.open) this.#show(group);
      } catch (error) {
        pressed.disabled = false;
        fill(failure, problem(error));
      }
    };
    const people = directory(this.messenger, (user) => {
      const line = element("button", { type: "button", class: "person", onclick: () => void add(user, line) }, ...person(user));
      return element("li", { hidden: members.has(user.user_id) }, line);
    });
    openDialog(texts.addTitle(isolate(straight(this.#group?.name ?? ""))), people, failure);
  }

  /** @param {Group} group */
  #drawSettings(group) {
    const publish = async (/** @type {boolean} */ on) => {
      const kept = await this.#saving.keep(() => this.messenger.messaging.restApi.updateGroup(this.id, { public: on }));
      if (!kept) this.#drawn = "";
      if (!kept && this.#group) this.#drawSettings(this.#group);
    };
    const isPublic = group.public === true;
    const own = this.#may("publish");
    const drawn = JSON.stringify([own, isPublic, group.rights, group.slow_mode_seconds, group.may]);
    if (drawn === this.#drawn) return; // a control may have the focus
    this.#drawn = drawn;
    const focused = /** @type {HTMLSelectElement | null} */ (this.#settings.querySelector("select:focus, input:focus"));
    const wasOpen = this.#settings.querySelector("details")?.open ?? false;
    const change = (/** @type {GroupChange["rights"]} */ rights) => void this.#keep({ rights });
    const rights = drawRights(group, { saving: this.#savingRights, change });
    const setSlow = (/** @type {number} */ seconds) => void this.#keep({ slow_mode_seconds: seconds }, this.#savingSlow);
    const slow = drawSlowMode(group, { saving: this.#savingSlow, change: setSlow });
    if (rights) rights.open = wasOpen;
    const entry = own
      ? toggle(texts.public, isPublic, { hint: texts.publicHint, saving: this.#saving, changed: (on) => void publish(on) })
      : element("p", { class: "note" }, isPublic ? texts.publicHint : texts.invited);
    fill(this.#settings, entry, element("p", { class: "note" }, texts.history[group.history]), slow, rights);
    const again = focused && (focused.matches("input") ? "input" : focused.name ? `select[name="${focused.name}"]` : "select:not([name])");
    if (again) /** @type {HTMLElement | null} */ (this.#settings.querySelector(again))?.focus();
  }

  /** Keep a change, and show it; what was refused is drawn as it is. @param {GroupChange} change */
  async #keep(change, saving = this.#savingRights) {
    const { restApi } = this.messenger.messaging;
    await saving.keep(async () => {
      this.#group = await restApi.updateGroup(this.id, change);
    });
    this.#drawn = "";
    if (this.#group && this.dialog.open) this.#show(this.#group);
  }

  /** @param {Group} group */
  #drawEnds(group) {
    const { messenger, id } = this;
    const close = async () => {
      if (await closeGroup(messenger, group)) await this.#act(async () => {});
    };
    const open = () => this.#act(() => messenger.messaging.restApi.updateGroup(id, { closed: false }));
    const inside = this.#ends.contains(document.activeElement);
    fill(
      this.#ends,
      this.#may("hand_on") && group.members.length > 1 && button(texts.handOn, () => chooseOwner(messenger, group)),
      button(texts.leave, () => void leaveGroup(messenger, id), { class: "danger" }),
      this.#may("close") && (group.closed ? button(texts.open, () => void open()) : button(texts.close, () => void close(), { class: "danger" })),
      this.#may("delete_group") && button(texts.delete, () => void deleteGroup(messenger, group), { class: "danger" }),
    );
    if (inside) this.#ends.querySelector("button")?.focus();
  }
}
