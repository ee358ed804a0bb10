/** Accounts: the list of all, and one of them with everything that an admin may do about it. */

import { button, element, field } from "../dom.js";
import { NUMBER } from "../words.js";
import { avatar } from "../people/avatar.js";
import { straight } from "../format.js";
import { loaded, select } from "../settings/parts.js";
import { entries } from "./audit.js";
import { act, askFirst, back, chip, facts, heading, listing, time } from "./parts.js";
import { hashTo } from "./place.js";
import { texts } from "./texts.js";
import { restrict } from "./reports.js";
import { drawAccess } from "./user-access.js";
import { giveLink, importUsers, lock, rename, setPassword } from "./user-acts.js";

/** @import { Administration, ROLES } from "./administration.js" */
/** @import { Place } from "./place.js" */
/** @typedef {(typeof ROLES)[number]} Role */

export const PATH = "/api/admin/users";
const own = texts.users;

/** @typedef {{ user_id: string, display_name: string, picture: string | null, role: Role, disabled: boolean, erased: boolean, has_password: boolean, created_at: number, last_seen: number | null, devices: number }} Account */

/** @param {Administration} admin @param {Place} place */
export function draw(admin, place) {
  if (place.id) return [back("users"), loaded(() => admin.get(pathOf(place.id)), (account) => drawOne(admin, place, account))];
  const filters = [
    { name: "q", label: own.search, hint: own.searchHint },
    { name: "role", label: own.role, options: texts.roles },
    { name: "disabled", label: own.state, options: { false: own.states.active, true: own.states.disabled } },
  ];
  return [
    heading(own.title, own.intro, button(own.import, () => void importUsers(admin)), button(own.add, () => void add(admin), { class: "primary" })),
    listing(admin, place, { section: "users", path: PATH, rows: "users", label: own.title, columns: COLUMNS, filters, empty: own.none }),
  ];
}

/** Return the path of one account. @param {string} userId */
export function pathOf(userId) {
  return `${PATH}/${encodeURIComponent(userId)}`;
}

/** @type {import("./parts.js").Column<Account>[]} */
const COLUMNS = [
  {
    title: own.name,
    draw: ({ user_id: id, display_name: name }) =>
      element("a", { class: "admin-person", href: hashTo("users", id) }, avatar(id, straight(name)), element("span", {}, element("bdi", {}, straight(name)), name !== id && element("small", {}, id))),
  },
  { title: own.role, draw: ({ role }) => texts.roles[role] },
  { title: own.state, draw: (account) => stateOf(account) },
  { title: own.online, class: "number", draw: ({ devices }) => NUMBER.format(devices) },
  { title: own.seen, draw: ({ last_seen: at }) => time(at) },
  { title: own.created, draw: ({ created_at: at }) => time(at) },
];

/** @param {Account} account */
function stateOf({ disabled, erased }) {
  return erased ? chip(own.states.erased, "bad") : disabled ? chip(own.states.disabled, "warning") : chip(own.states.active, "good");
}

/** @param {Administration} admin @param {Place} place @param {Account} account */
function drawOne(admin, place, account) {
  const { user_id: id, display_name: name, erased } = account;
  const isOwn = id === admin.session.userId;
  const mine = { path: pathOf(id), name: straight(name) };
  const changeable = !erased && !isOwn && admin.mayManage(account.role);
  const role = select(rolesToGive(admin), account.role);
  role.setAttribute("aria-label", own.role);
  const changeRole = async () => {
    const wanted = /** @type {Role} */ (role.value);
    const reason = wanted === account.role ? null : await askFirst(own.roleQuestion(mine.name, texts.roles[wanted]), own.change, { reason: true, danger: false });
    return reason === null ? false : admin.send("PATCH", mine.path, { role: wanted, ...(reason && { reason }) });
  };
  const acts = [
    act(admin, own.password, () => setPassword(admin, mine)),
    button(own.reset, () => void giveLink(admin, mine)),
    act(admin, own.secondFactor, async () => (await askFirst(own.secondFactorQuestion(mine.name), own.secondFactor, { why: own.secondFactorWhy })) !== null && admin.send("DELETE", `${mine.path}/second-factor`)),
  ];
  const dangers = [
    act(admin, texts.reports.timeout, () => restrict(admin, "timeout", id)),
    act(admin, texts.reports.ban, () => restrict(admin, "ban", id), { class: "danger" }),
    act(admin, account.disabled ? own.enable : own.disable, () => lock(admin, mine, !account.disabled), { class: account.disabled ? "" : "danger" }),
    act(admin, own.erase, () => erase(admin, account), { class: "danger" }),
  ];
  return [
    heading(straight(name), name === id ? "" : id, stateOf(account)),
    element(
      "div",
      { class: "admin-cards" },
      element("section", { class: "admin-card" }, element("h3", {}, own.about), facts({
        [own.id]: id, [own.created]: time(account.created_at), [own.seen]: time(account.last_seen), [own.online]: NUMBER.format(account.devices), [own.hasPassword]: account.has_password ? own.yes : own.no,
      }), changeable && element("div", { class: "admin-choices admin-next" }, act(admin, own.rename, () => rename(admin, mine, name)))),
      changeable && element("section", { class: "admin-card" }, element("h3", {}, own.rights), element("div", { class: "admin-choices" }, role, act(admin, own.change, changeRole)), element("h3", { class: "admin-next" }, own.signingIn), element("div", { class: "admin-choices" }, ...acts)),
      changeable && element("section", { class: "admin-card admin-danger" }, element("h3", {}, own.dangers), element("div", { class: "admin-choices" }, ...dangers)),
    ),
    element("p", { class: "note", hidden: erased || changeable }, isOwn ? own.isYours : own.isAbove),
    drawAccess(admin, id, changeable || isOwn),
    element("section", {}, element("h3", {}, own.audit), entries(admin, place, { query: { about: `user:${id}` }, section: "users" })),
    element("p", {}, element("a", { href: hashTo("audit", "", { by: id }) }, own.byThem)),
  ];
}

/** @param {Administration} admin @param {Account} account */
async function erase(admin, { user_id: id, display_name: name }) {
  const typed = element("input", { required: true, pattern: id.replaceAll(/[.*+?^${}()|[\]\\/-]/g, "\\$&"), autocomplete: "off", dir: "auto" });
  const field = element("label", { class: "field" }, element("span", {}, own.eraseType(id)), typed);
  if ((await askFirst(own.eraseQuestion(straight(name)), own.erase, { why: own.eraseWhy, fields: [field] })) === null) return false;
  return admin.send("POST", `${pathOf(id)}/erase`);
}

/** The roles that this user may give, the highest first, with their texts. @param {Administration} admin @returns {Record<string, string>} */
function rolesToGive(admin) {
  return Object.fromEntries(admin.givable.toReversed().map((role) => [role, texts.roles[role]]));
}

/** @param {Administration} admin */
async function add(admin) {
  const given = { user_id: element("input", { required: true, maxlength: 64, autocomplete: "off", autocapitalize: "none", spellcheck: "false" }), display_name: element("input", { maxlength: 100, dir: "auto", autocomplete: "off" }), password: element("input", { type: "text", autocomplete: "off", spellcheck: "false" }), role: select(rolesToGive(admin), "member") };
  const labels = { user_id: own.addId, display_name: own.addName, password: own.addPassword, role: own.role };
  const fields = Object.entries(given).map(([key, control]) => field(labels[/** @type {"user_id"} */ (key)], control));
  if ((await askFirst(own.addTitle, own.add, { danger: false, fields })) === null) return;
  try {
    const made = await admin.send("POST", PATH, Object.fromEntries(Object.entries(given).map(([key, { value }]) => [key, value.trim()]).filter(([, value]) => value)));
    admin.notices.say(own.added(straight(made.display_name)));
    location.hash = hashTo("users", made.user_id);
  } catch (error) {
    admin.failed(error);
  }
}
