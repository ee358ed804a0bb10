/** All groups of the server, without what is said in them; a new one, the members of one, and its end. */

import { button, element, field } from "../dom.js";
import { straight } from "../format.js";
import { loaded, select } from "../settings/parts.js";
import { NUMBER } from "../words.js";
import { entries } from "./audit.js";
import { act, askFirst, back, chip, facts, heading, listing, table, time } from "./parts.js";
import { hashTo } from "./place.js";
import { texts } from "./texts.js";

/** @import { Administration } from "./administration.js" */
/** @import { Place } from "./place.js" */

const PATH = "/api/admin/groups";
const own = texts.groups;

/** @param {string} id */
function pathOf(id) {
  return `${PATH}/${encodeURIComponent(id)}`;
}

/** @param {Administration} admin @param {Place} place */
export function draw(admin, place) {
  if (place.id) return [back("groups"), loaded(() => admin.get(pathOf(place.id)), (group) => drawOne(admin, place, group))];
  /** @type {import("./parts.js").Column<any>[]} */
  const columns = [
    { title: own.name, draw: ({ group_id: id, name }) => [element("a", { href: hashTo("groups", id) }, element("bdi", {}, straight(name))), element("small", {}, ` ${id}`)] },
    { title: own.owner, draw: ({ owner }) => element("a", { href: hashTo("users", owner) }, owner) },
    { title: own.members, class: "number", draw: ({ members }) => NUMBER.format(members) },
    { title: own.created, draw: ({ created_at: at }) => time(at) },
    { title: "", class: "acts", draw: (row) => act(admin, own.remove, () => remove(admin, row), { class: "danger" }) },
  ];
  return [
    heading(own.title, own.intro, button(own.make, () => void make(admin), { class: "primary" })),
    listing(admin, place, { section: "groups", path: PATH, rows: "groups", label: own.title, columns, empty: own.none }),
  ];
}

/** @param {Administration} admin @param {any} group */
async function remove(admin, { group_id: id, name }) {
  return (await askFirst(own.removeQuestion(straight(name)), own.remove, { why: own.removeWhy })) !== null && admin.send("DELETE", pathOf(id));
}

/** @param {Administration} admin */
async function make(admin) {
  const plain = { autocomplete: "off", autocapitalize: "none", spellcheck: "false" };
  const name = element("input", { required: true, maxlength: 128, dir: "auto", autocomplete: "off" });
  const owner = element("input", { ...plain, required: true, maxlength: 64 });
  const members = element("input", plain);
  const id = element("input", { ...plain, maxlength: 64 });
  const history = select(own.histories, "join");
  const fields = [field(own.name, name), field(own.owner, owner), field(own.membersHint, members), field(own.idHint, id), field(own.history, history)];
  if ((await askFirst(own.make, own.make, { danger: false, fields })) === null) return;
  try {
    const made = await admin.send("POST", PATH, {
      name: name.value.trim(), owner: owner.value.trim(), members: members.value.split(/[\s,]+/).filter(Boolean), history: history.value, ...(id.value.trim() && { group_id: id.value.trim() }),
    });
    location.hash = hashTo("groups", made.group_id);
  } catch (error) {
    admin.failed(error);
  }
}

/** @param {Administration} admin @param {Place} place @param {any} group */
function drawOne(admin, place, group) {
  const { group_id: id, name, members } = group;
  const removed = async () => {
    if ((await remove(admin, group)) === false) return false;
    location.hash = hashTo("groups");
    return false;
  };
  return [
    heading(straight(name), id, button(own.add, () => void add(admin, id), { class: "primary" }), act(admin, own.remove, removed, { class: "danger" })),
    element("section", { class: "admin-card" }, facts({
      [own.history]: own.histories[/** @type {"join"} */ (group.history)], [own.public]: group.public ? texts.users.yes : texts.users.no, [own.closed]: group.closed ? chip(texts.users.yes, "warning") : texts.users.no,
    })),
    element("section", {}, element("h3", {}, own.members), element("div", { class: "admin-scroll" }, table(own.members, memberColumns(admin, id), members).node)),
    element("section", {}, element("h3", {}, own.audit), entries(admin, place, { query: { about: `group:${id}` }, section: "groups" })),
  ];
}

/** @param {Administration} admin @param {string} group @returns {import("./parts.js").Column<any>[]} */
function memberColumns(admin, group) {
  const change = async (/** @type {any} */ { user_id: user, role }) => {
    const choice = select(own.roles, role);
    if ((await askFirst(own.roleQuestion(user), own.change, { danger: false, fields: [field(own.role, choice)] })) === null || choice.value === role) return false;
    return admin.send("PUT", `${pathOf(group)}/members/${encodeURIComponent(user)}`, { role: choice.value });
  };
  const out = async (/** @type {any} */ { user_id: user }) => (await askFirst(own.outQuestion(user), own.out, { why: own.outWhy })) !== null && admin.send("DELETE", `${pathOf(group)}/members/${encodeURIComponent(user)}`);
  return [
    { title: texts.users.name, draw: ({ user_id: user }) => element("a", { href: hashTo("users", user) }, user) },
    { title: own.role, draw: ({ role }) => chip(own.roles[/** @type {"member"} */ (role)] ?? role, role === "owner" ? "good" : "") },
    {
      title: "", class: "acts",
      draw: (member) => member.role !== "owner" && element("div", { class: "admin-choices" }, act(admin, own.change, () => change(member)), act(admin, own.out, () => out(member), { class: "danger" })),
    },
  ];
}

/** @param {Administration} admin @param {string} group */
async function add(admin, group) {
  const user = element("input", { required: true, maxlength: 64, autocomplete: "off", autocapitalize: "none", spellcheck: "false" });
  const { owner: _owner, ...roles } = own.roles;
  const role = select(roles, "member");
  if ((await askFirst(own.add, own.add, { danger: false, fields: [field(texts.users.id, user), field(own.role, role)] })) === null) return;
  try {
    await admin.send("PUT", `${pathOf(group)}/members/${encodeURIComponent(user.value.trim())}`, { role: role.value });
    admin.again();
  } catch (error) {
    admin.failed(error);
  }
}
