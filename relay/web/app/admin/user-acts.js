/** What an admin does about how somebody signs in. */

import { element, field, openDialog } from "../dom.js";
import { moment } from "../format.js";
import { BASE } from "../session.js";
import { copyButton, row } from "../settings/parts.js";
import { qrCode } from "../settings/qr-code.js";
import { counted } from "../words.js";
import { askFirst } from "./parts.js";
import { texts } from "./texts.js";

/** @import { Administration } from "./administration.js" */

const own = texts.users;

/** @typedef {{ path: string, name: string }} Subject the path of an account, and its name */

/** @param {Administration} admin @param {Subject} subject @param {boolean} disabled */
export async function lock(admin, { path, name }, disabled) {
  const reason = disabled ? await askFirst(own.disableQuestion(name), own.disable, { why: own.disableWhy, reason: true }) : "";
  return reason === null ? false : admin.send("PATCH", path, { disabled, ...(reason && { reason }) });
}

/** @param {Administration} admin @param {Subject} subject @param {string} name as it is */
export async function rename(admin, { path }, name) {
  const input = element("input", { required: true, maxlength: 100, dir: "auto", autocomplete: "off", value: name });
  if ((await askFirst(own.rename, own.rename, { danger: false, fields: [field(own.addName, input)] })) === null || input.value.trim() === name) return false;
  return admin.send("PATCH", path, { display_name: input.value.trim() });
}

/** @param {Administration} admin @param {Subject} subject */
export async function setPassword(admin, { path }) {
  const input = element("input", { type: "text", required: true, minlength: 8, autocomplete: "off", spellcheck: "false" });
  const field = element("label", { class: "field" }, element("span", {}, own.passwordNew), input);
  if ((await askFirst(own.password, own.password, { why: own.passwordWhy, danger: false, fields: [field] })) === null) return false;
  await admin.send("PUT", `${path}/password`, { password: input.value });
  admin.notices.say(own.passwordSet);
  return true;
}

/** Show a link with which somebody sets a new password. @param {Administration} admin @param {Subject} subject */
export async function giveLink(admin, { path }) {
  try {
    const { link, qr, expires_at: end } = await admin.send("POST", `${path}/reset-link`, { page: `${BASE}/` });
    showSecret(own.resetLink, own.resetWhy, link, element("div", { class: "qr" }, qrCode(qr, own.resetLink), element("small", { class: "note" }, own.until(moment(end)))));
  } catch (error) {
    admin.failed(error);
  }
}

/**
 * Show what is seen this one time, to be copied.
 *
 * @param {string} title
 * @param {string} why
 * @param {string} value
 * @param {...HTMLElement} more
 */
export function showSecret(title, why, value, ...more) {
  const input = element("input", { readonly: true, value, dir: "ltr", onfocus: () => input.select() });
  const dialog = openDialog(title, element("div", {}, element("p", {}, why), ...more, row(title, input), element("p", { class: "choice" }, copyButton(own.copy, () => value, { class: "primary" }))));
  return dialog;
}

/** Create many users at once, by their ids. @param {Administration} admin */
export async function importUsers(admin) {
  const ids = element("textarea", { rows: 8, required: true, dir: "ltr", spellcheck: "false", autocapitalize: "none" });
  const tokens = element("input", { type: "checkbox" });
  const fields = [field(own.importIds, ids), element("label", { class: "check" }, tokens, element("span", {}, own.importTokens))];
  if ((await askFirst(own.import, own.import, { why: own.importWhy, danger: false, fields })) === null) return;
  const wanted = ids.value.split("\n").map((line) => line.replace(/#.*/, "").trim()).filter(Boolean);
  try {
    const { created, tokens: issued } = await admin.send("POST", "/api/admin/users/import", { user_ids: wanted, tokens: tokens.checked });
    admin.notices.say(counted(created, own.imported));
    if (issued.length === 0) return admin.again();
    showTokens(issued).addEventListener("close", () => admin.again());
  } catch (error) {
    admin.failed(error);
  }
}

/** Show new tokens of several users, each in a line. @param {{ user_id: string, token: string }[]} issued */
function showTokens(issued) {
  const text = issued.map(({ user_id: id, token }) => `${id}\t${token}`).join("\n");
  const area = element("textarea", { readonly: true, rows: Math.min(12, issued.length + 1), dir: "ltr", onfocus: () => area.select() });
  area.value = text;
  return openDialog(own.tokens, element("div", {}, element("p", {}, own.newTokenWhy), row(own.tokens, area), element("p", { class: "choice" }, copyButton(own.copy, () => text, { class: "primary" }))));
}
