/** The rights in a group's dialog: who may do what, as all see it, and as who may change it chooses it. */

import { element } from "../dom.js";
import { row, select } from "../settings/parts.js";
import { words } from "../words.js";

/** @import { Group, GroupRights } from "../../sdk/types.js" */
/** @import { Saving } from "../settings/parts.js" */

const texts = words.groups.rights;
/** As the server has them. */
const PRESETS = {
  ordinary: {
    write: "everybody", thread: "everybody", invite: "admins", pin: "admins", delete_others: "admins", mention_all: "everybody",
    edit_profile: "admins",
  },
  announcement: {
    write: "admins", thread: "everybody", invite: "admins", pin: "admins", delete_others: "admins", mention_all: "admins",
    edit_profile: "admins",
  },
};
const NAMES = /** @type {(keyof GroupRights)[]} */ (Object.keys(PRESETS.ordinary));

/** Return the word for all rights of a group; `own` where they were chosen one by one. @param {GroupRights} rights */
export function presetOf(rights) {
  const found = Object.entries(PRESETS).find(([, preset]) => NAMES.every((name) => /** @type {any} */ (preset)[name] === rights[name]));
  return /** @type {"ordinary" | "announcement" | "own"} */ (found?.[0] ?? "own");
}

/**
 * Draw the rights of a group; null of a server without them.
 *
 * @param {Group} group
 * @param {{ saving: Saving, change: (rights: import("../../sdk/types.js").GroupChange["rights"]) => void }} more saving: says whether a
 *   change was kept
 */
export function drawRights({ rights, may = [] }, { saving, change }) {
  if (!rights) return null;
  const kind = presetOf(rights);
  const { own, ...presets } = texts.presets;
  const inside = may.includes("change_rights")
    ? [
        row(texts.preset, select(kind === "own" ? { ...presets, own } : presets, kind, (chosen) => chosen !== "own" && change(/** @type {any} */ (chosen))), { saving }),
        ...NAMES.map((name) => {
          const control = select(texts.holders, rights[name], (chosen) => change({ [name]: chosen }));
          control.name = name;
          return row(texts.names[name], control);
        }),
      ]
    : [element("ul", { class: "note" }, ...NAMES.map((name) => element("li", {}, texts.held(texts.names[name], texts.holders[rights[name]]))))];
  return element("details", { class: "group-rights" }, element("summary", {}, texts.title), ...inside);
}
