/** Invitations that are open: who made them, for how many, until when; new ones, and taking one back. */

import { openInvite } from "../settings/invite.js";
import { button, element } from "../dom.js";
import { NUMBER } from "../words.js";
import { act, askFirst, heading, listing, time } from "./parts.js";
import { texts } from "./texts.js";

/** @import { Administration } from "./administration.js" */
/** @import { Place } from "./place.js" */

const PATH = "/api/admin/invites";
const own = texts.invitations;

/** @param {Administration} admin @param {Place} place */
export function draw(admin, place) {
  // The dialog is the messenger's own, which asks these things of it alone.
  const messenger = /** @type {any} */ ({ session: admin.session, store: { me: admin.me }, names: { of: (/** @type {string} */ id) => id }, messaging: { restApi: admin.rest }, failed: admin.failed, notices: admin.notices });
  const invite = () => openInvite(messenger).addEventListener("close", () => admin.again());
  const takeBack = async (/** @type {any} */ { invite_id: id }) => {
    if ((await askFirst(own.revokeQuestion, own.revoke, { why: own.revokeWhy })) === null) return false;
    return admin.send("DELETE", `${PATH}/${encodeURIComponent(id)}`);
  };
  /** @type {import("./parts.js").Column<any>[]} */
  const columns = [
    { title: own.id, draw: ({ invite_id: id }) => element("code", {}, id) },
    { title: own.by, draw: ({ created_by: by }) => by ?? texts.operator },
    { title: own.made, draw: ({ created_at: at }) => time(at) },
    { title: own.ends, draw: ({ expires_at: at }) => (at ? time(at) : own.never) },
    { title: own.left, class: "number", draw: ({ uses_left: left }) => NUMBER.format(left) },
    { title: own.role, draw: ({ role }) => texts.inviteRoles[/** @type {"user"} */ (role)] ?? role },
    { title: "", class: "acts", draw: (row) => act(admin, own.revoke, () => takeBack(row), { class: "danger" }) },
  ];
  return [
    heading(own.title, own.intro, button(own.make, invite, { class: "primary" })),
    listing(admin, place, { section: "invitations", path: PATH, rows: "invites", label: own.title, columns, empty: own.none }),
  ];
}
