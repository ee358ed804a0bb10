/** The second step of signing in: a code of the authenticator app, or its set-up where the server demands one. */

import { RestApiClient } from "../../sdk/rest-api-client.js";
import { button, element, fill } from "../dom.js";
import { BASE } from "../session.js";
import { qrCode } from "../settings/qr-code.js";
import { words } from "../words.js";
import { FormField } from "./form-field.js";
import { smallForm } from "./small-form.js";

const texts = words.wayIn.second;
/** How a code is typed: on a phone with the digits first, and taken from a message where the system knows one. */
const TYPED = { autocomplete: "one-time-code", autocapitalize: "characters", spellcheck: "false", maxlength: 40, dir: "ltr", required: true };

/**
 * Ask for a code, and sign in with it; resolves with the login, or with null for who goes back.
 *
 * @param {HTMLElement} place
 * @param {{ user_id: string, password: string }} body what was right so far
 * @param {any} refusal
 * @returns {Promise<import("../../sdk/types.js").Login | null>}
 */
export function askForCode(place, body, { details }) {
  const isNew = details.reason === "second_factor_setup";
  const code = new FormField("code", texts.code, TYPED);
  code.help(isNew ? texts.firstHint : texts.codeHint);
  return new Promise((resolve) => {
    smallForm(place, {
      title: isNew ? texts.setUpTitle : texts.title,
      intro: isNew ? texts.setUpIntro : "",
      shown: isNew ? secret(details) : [],
      fields: [code],
      submit: texts.submit,
      send: async (given) => {
        const { user_id, password } = body;
        const login = await new RestApiClient(BASE).login({ user_id, password, ...given });
        const { recovery_codes: codes } = login;
        if (codes?.length) showRecoveryCodes(place, codes, () => resolve(login));
        else resolve(login);
      },
      others: [button(words.wayIn.back, () => resolve(null), { class: "link" })],
    });
  });
}

/**
 * Draw what an app needs: the QR code, and the secret to be typed.
 *
 * @param {{ qr: string[], secret: string, link: string }} enrolment
 */
export function secret({ qr, secret: typed, link }) {
  const grouped = typed.match(/.{1,4}/g)?.join(" ") ?? typed;
  return [
    element("div", { class: "qr" }, qrCode(qr, texts.qr), element("small", { class: "note" }, texts.scan)),
    element(
      "p",
      { class: "secret-key" },
      element("span", {}, texts.byHand),
      element("code", { dir: "ltr", tabindex: "0" }, grouped),
      element("a", { href: link }, texts.openApp),
    ),
  ];
}

/**
 * Draw recovery codes, which are shown this one time, with a button that copies them.
 *
 * @param {string[]} codes
 */
export function recoveryCodes(codes) {
  const copy = button(texts.copy, () => void navigator.clipboard.writeText(codes.join("\n")).then(() => fill(copy, texts.copied), () => {}));
  return [
    element("ol", { class: "recovery-codes", dir: "ltr" }, ...codes.map((one) => element("li", {}, element("code", {}, one)))),
    element("p", { class: "choices" }, copy),
  ];
}

/** @param {HTMLElement} place @param {string[]} codes @param {() => void} done */
function showRecoveryCodes(place, codes, done) {
  smallForm(place, {
    title: texts.codesTitle,
    intro: texts.codesIntro,
    shown: recoveryCodes(codes),
    submit: texts.kept,
    send: async () => done(),
  });
}
