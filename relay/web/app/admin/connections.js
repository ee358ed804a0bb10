/** Who is connected and how far behind each connection is, and all devices; the end of a connection, and of a device's session. */

import { element } from "../dom.js";
import { size } from "../format.js";
import { NUMBER } from "../words.js";
import { nameOf } from "../settings/devices.js";
import { act, askFirst, chip, heading, listing, time } from "./parts.js";
import { hashTo } from "./place.js";
import { texts } from "./texts.js";

/** @import { Administration } from "./administration.js" */
/** @import { Place } from "./place.js" */

const own = texts.connections;
const VIEWS = /** @type {const} */ (["live", "devices"]);

/** @param {Administration} admin @param {Place} place */
export function draw(admin, place) {
  const view = place.query.get("view") === "devices" ? "devices" : "live";
  const choices = VIEWS.map((one) => element("a", { class: "admin-choice", href: hashTo("connections", "", one === "live" ? {} : { view: one }), "aria-current": one === view ? "true" : null }, own.views[one]));
  return [
    heading(own.title, own.intro),
    element("nav", { class: "admin-span", "aria-label": own.view }, ...choices),
    view === "live" ? drawLive(admin, place) : drawDevices(admin, place),
  ];
}

/** @type {import("./parts.js").Column<any>[]} */
const WHO = [
  { title: own.user, draw: ({ user_id: id }) => element("a", { href: hashTo("users", id) }, id) },
  { title: texts.users.device, draw: (device) => [element("bdi", {}, nameOf(device)), element("small", {}, ` ${device.client_id}`)] },
];

/** @param {Administration} admin @param {Place} place */
function drawLive(admin, place) {
  const end = async (/** @type {any} */ { user_id: user, client_id: id }) => {
    if ((await askFirst(own.endQuestion, own.end, { why: own.endWhy, danger: false })) === null) return false;
    return admin.send("DELETE", `/api/admin/connections?user=${encodeURIComponent(user)}&client_id=${encodeURIComponent(id)}`);
  };
  /** @type {import("./parts.js").Column<any>[]} */
  const columns = [
    ...WHO,
    { title: texts.users.address, draw: ({ address }) => address && element("code", {}, address) },
    { title: own.since, draw: ({ since }) => (since ? time(since) : own.catchingUp) },
    { title: own.waiting, class: "number", draw: ({ waiting, waiting_bytes: bytes }) => (waiting ? own.frames(NUMBER.format(waiting), size(bytes)) : NUMBER.format(0)) },
    { title: own.state, draw: (row) => stateOf(row) },
    { title: "", class: "acts", draw: (row) => element("div", { class: "admin-choices" }, act(admin, own.end, () => end(row)), signOut(admin, row)) },
  ];
  const filters = [{ name: "user", label: own.userId }];
  return listing(admin, place, { section: "connections", path: "/api/admin/connections", rows: "connections", label: own.views.live, columns, filters, empty: own.none });
}

/** @param {any} connection */
function stateOf({ active, waiting, sent, acked }) {
  if (waiting > 0) return chip(own.slow, "warning");
  return [chip(active ? own.active : own.background, active ? "good" : ""), acked < sent && element("small", {}, ` ${own.behind(`${acked} < ${sent}`)}`)];
}

/** @param {Administration} admin @param {Place} place */
function drawDevices(admin, place) {
  /** @type {import("./parts.js").Column<any>[]} */
  const columns = [
    ...WHO,
    { title: own.state, draw: ({ connected }) => connected && chip(texts.users.connected, "good") },
    { title: texts.users.address, draw: ({ address }) => address && element("code", {}, address) },
    { title: texts.users.seen, draw: ({ seen_at: at }) => time(at) },
    { title: texts.users.created, draw: ({ created_at: at }) => time(at) },
    { title: own.acked, class: "number", draw: ({ acked }) => NUMBER.format(acked) },
    { title: "", class: "acts", draw: (row) => signOut(admin, row) },
  ];
  const filters = [{ name: "q", label: texts.users.search, hint: own.searchHint }];
  return listing(admin, place, { section: "connections", path: "/api/admin/devices", rows: "devices", label: own.views.devices, columns, filters, kept: { view: "devices" }, empty: texts.users.noDevices });
}

/** @param {Administration} admin @param {any} device */
function signOut(admin, { user_id: user, client_id: id }) {
  const revoke = async () =>
    (await askFirst(texts.users.signOutQuestion, texts.users.signOut)) !== null && admin.send("DELETE", `/api/admin/users/${encodeURIComponent(user)}/devices?client_id=${encodeURIComponent(id)}`);
  return act(admin, texts.users.signOut, revoke, { class: "danger" });
}
