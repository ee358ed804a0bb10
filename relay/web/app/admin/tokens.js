/** All tokens of the server, never the tokens themselves: whose they are, what they may do, when they were last used. */

import { element } from "../dom.js";
import { act, askFirst, heading, listing, time } from "./parts.js";
import { hashTo } from "./place.js";
import { texts } from "./texts.js";

/** @import { Administration } from "./administration.js" */
/** @import { Place } from "./place.js" */

const PATH = "/api/admin/tokens";
const own = texts.tokens;

/** @param {Administration} admin @param {Place} place */
export function draw(admin, place) {
  const revoke = async (/** @type {any} */ { user_id: user, token_id: id }) =>
    (await askFirst(texts.users.revokeQuestion, texts.users.revoke)) !== null && admin.send("DELETE", `/api/admin/users/${encodeURIComponent(user)}/tokens/${encodeURIComponent(id)}`);
  /** @type {import("./parts.js").Column<any>[]} */
  const columns = [
    { title: texts.users.token, draw: ({ token_id: id, label }) => [label && element("bdi", {}, label, " "), element("code", {}, id)] },
    { title: own.owner, draw: ({ user_id: id }) => element("a", { href: hashTo("users", id) }, id) },
    { title: own.origin, draw: ({ origin }) => own.origins[/** @type {"login"} */ (origin)] ?? origin },
    { title: texts.users.scopes, draw: ({ scopes }) => scopes.join(", ") },
    { title: texts.users.created, draw: ({ created_at: at }) => time(at) },
    { title: own.lastUsed, draw: ({ last_used_at: at }) => (at ? time(at) : own.never) },
    { title: texts.users.expires, draw: ({ expires_at: at }) => time(at) },
    { title: "", class: "acts", draw: (row) => act(admin, texts.users.revoke, () => revoke(row), { class: "danger" }) },
  ];
  const filters = [
    { name: "q", label: own.search, hint: own.searchHint },
    { name: "origin", label: own.origin, options: own.origins },
  ];
  return [heading(own.title, own.intro), listing(admin, place, { section: "tokens", path: PATH, rows: "tokens", label: own.title, columns, filters, empty: texts.users.noTokens })];
}
