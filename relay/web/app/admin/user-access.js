/** The devices and tokens of an account: where it is signed in, and what programs use it. */

import { button, element } from "../dom.js";
import { nameOf } from "../settings/devices.js";
import { loaded } from "../settings/parts.js";
import { act, askFirst, chip, table, time } from "./parts.js";
import { texts } from "./texts.js";
import { showSecret } from "./user-acts.js";

/** @import { Administration } from "./administration.js" */

const own = texts.users;

/** @param {Administration} admin @param {string} userId @param {boolean} changeable whether this user may end and make some */
export function drawAccess(admin, userId, changeable) {
  const path = `/api/admin/users/${encodeURIComponent(userId)}`;
  return element(
    "div",
    { class: "admin-loaded" },
    element("section", {}, element("h3", {}, own.devices), loaded(() => admin.get(`${path}/devices`), ({ devices }) => drawDevices(admin, path, devices, changeable))),
    element(
      "section",
      {},
      element("header", { class: "admin-title" }, element("h3", {}, own.tokens), changeable && button(own.newToken, () => void makeToken(admin, path))),
      loaded(() => admin.get(`${path}/tokens`), ({ tokens }) => drawTokens(admin, path, tokens, changeable)),
    ),
  );
}

/** @param {Administration} admin @param {string} path @param {any[]} devices @param {boolean} changeable */
function drawDevices(admin, path, devices, changeable) {
  if (devices.length === 0) return element("p", { class: "told" }, own.noDevices);
  const signOut = async (/** @type {string} */ id) => (await askFirst(own.signOutQuestion, own.signOut)) !== null && admin.send("DELETE", `${path}/devices?client_id=${encodeURIComponent(id)}`);
  /** @type {import("./parts.js").Column<any>[]} */
  const columns = [
    { title: own.device, draw: (device) => [element("bdi", {}, nameOf(device)), element("small", {}, ` ${device.client_id}`)] },
    { title: own.state, draw: ({ connected }) => connected && chip(own.connected, "good") },
    { title: own.address, draw: ({ address }) => address && element("code", {}, address) },
    { title: own.seen, draw: ({ seen_at: at }) => time(at) },
    { title: own.created, draw: ({ created_at: at }) => time(at) },
    { title: "", class: "acts", draw: ({ client_id: id }) => changeable && act(admin, own.signOut, () => signOut(id), { class: "danger" }) },
  ];
  return element("div", { class: "admin-scroll" }, table(own.devices, columns, devices).node);
}

/** @param {Administration} admin @param {string} path @param {any[]} tokens @param {boolean} changeable */
function drawTokens(admin, path, tokens, changeable) {
  if (tokens.length === 0) return element("p", { class: "told" }, own.noTokens);
  const revoke = async (/** @type {string} */ id) => (await askFirst(own.revokeQuestion, own.revoke)) !== null && admin.send("DELETE", `${path}/tokens/${encodeURIComponent(id)}`);
  /** @type {import("./parts.js").Column<any>[]} */
  const columns = [
    { title: own.token, draw: ({ token_id: id, origin }) => [element("code", {}, id), element("small", {}, ` ${origin}`)] },
    { title: own.label, draw: ({ label }) => label },
    { title: own.scopes, draw: ({ scopes }) => scopes.join(", ") },
    { title: own.created, draw: ({ created_at: at }) => time(at) },
    { title: texts.tokens.lastUsed, draw: ({ last_used_at: at }) => (at ? time(at) : texts.tokens.never) },
    { title: own.expires, draw: ({ expires_at: at }) => time(at) },
    { title: "", class: "acts", draw: ({ token_id: id }) => changeable && act(admin, own.revoke, () => revoke(id), { class: "danger" }) },
  ];
  return element("div", { class: "admin-scroll" }, table(own.tokens, columns, tokens).node);
}

/** @param {Administration} admin @param {string} path */
async function makeToken(admin, path) {
  const label = element("input", { maxlength: 100, dir: "auto", autocomplete: "off" });
  const scopes = element("input", { autocomplete: "off", spellcheck: "false", placeholder: "notify metrics" });
  const days = element("input", { type: "number", min: 0, max: 36_500, value: "90" });
  const fields = [[own.label, label], [own.scopesHint, scopes], [own.days, days]].map(([text, control]) => element("label", { class: "field" }, element("span", {}, text), control));
  if ((await askFirst(own.newToken, own.newToken, { danger: false, fields })) === null) return;
  try {
    const body = { label: label.value.trim(), scopes: scopes.value.split(/[\s,]+/).filter(Boolean), days: Number(days.value) };
    const { token } = await admin.send("POST", `${path}/tokens`, body);
    showSecret(own.token, own.newTokenWhy, token).addEventListener("close", () => admin.again());
  } catch (error) {
    admin.failed(error);
  }
}
