/** Links of mails and of administrators: a forgotten password, a new one, an address that is verified, an account by an address. */

import { RestApiClient } from "../../sdk/rest-api-client.js";
import { button, element } from "../dom.js";
import { isolate } from "../format.js";
import { BASE } from "../session.js";
import { words } from "../words.js";
import { FormField } from "./form-field.js";
import { ACTION } from "./fragments.js";
import { smallForm } from "./small-form.js";

const texts = words.wayIn.links;

/**
 * Do what a link is for; resolves once that is over, with the name of the user whose new password it was, or once another link is opened.
 *
 * @param {HTMLElement} place
 * @returns {Promise<string>}
 */
export function followLink(place) {
  const [, what, code] = location.hash.match(ACTION) ?? [];
  history.replaceState(null, "", location.pathname); // the code is good once, and must not stay visible
  return new Promise((resolve) => {
    const done = (/** @type {string} */ userId) => (removeEventListener("hashchange", another), resolve(userId));
    const another = () => done(""); // another link was opened in this tab
    addEventListener("hashchange", another);
    if (what === "reset") choosePassword(place, code, done);
    else verifyAddress(place, code, done);
  });
}

/** @param {HTMLElement} place @param {string} code @param {(userId: string) => void} done */
function choosePassword(place, code, done) {
  const password = new FormField("password", texts.fresh, { type: "password", autocomplete: "new-password", required: true });
  const rest = new RestApiClient(BASE);
  rest.request("GET", "/api/registration").then(({ password_min_length: least }) => password.help(words.wayIn.passwordHint(least)), () => {});
  smallForm(place, {
    title: texts.resetTitle,
    intro: texts.resetIntro,
    fields: [password],
    submit: texts.resetSubmit,
    about: { password_length: "password" },
    send: async (given) => {
      const { user_id: userId } = await rest.request("POST", "/api/password-reset", { body: { code, ...given } });
      tell(place, texts.resetDone(isolate(userId)), words.wayIn["sign-in"].submit, () => done(userId));
    },
    others: [button(words.wayIn.back, () => done(""), { class: "link" })],
  });
}

/** @param {HTMLElement} place @param {string} code @param {(userId: string) => void} done */
function verifyAddress(place, code, done) {
  smallForm(place, {
    title: texts.verifyTitle,
    intro: texts.verifyIntro,
    submit: texts.verifySubmit,
    send: async () => {
      const { user_id: userId, address } = await new RestApiClient(BASE).request("POST", "/api/mail-verification", { body: { code } });
      tell(place, texts.verified(isolate(address), isolate(userId)), texts.goOn, () => done(""));
    },
    others: [button(words.wayIn.back, () => done(""), { class: "link" })],
  });
}

/**
 * Ask for a link that sets a new password.
 *
 * @param {HTMLElement} place
 * @param {() => void} back
 */
export function forgotten(place, back) {
  const user = new FormField("user", texts.user, { autocomplete: "username", autocapitalize: "none", spellcheck: "false", maxlength: 254, required: true });
  smallForm(place, {
    title: texts.forgottenTitle,
    intro: texts.forgottenIntro,
    fields: [user],
    submit: texts.send,
    send: async (body) => {
      await new RestApiClient(BASE).request("POST", "/api/password-reset/mail", { body });
      tell(place, texts.sent, words.wayIn.back, back);
    },
    others: [button(words.wayIn.back, back, { class: "link" })],
  });
}

/**
 * Ask for a link that makes an account, by an address of one of the server's domains.
 *
 * @param {HTMLElement} place
 * @param {string[]} domains
 * @param {{ back: () => void, invited: () => void }} elsewhere
 */
export function joinByMail(place, domains, { back, invited }) {
  const address = new FormField("address", texts.address, { type: "email", autocomplete: "email", maxlength: 254, dir: "ltr", required: true });
  address.help(texts.domains(domains.map((one) => `@${one}`).join(", ")));
  smallForm(place, {
    title: words.wayIn.join.title,
    intro: texts.byMailIntro,
    fields: [address],
    submit: texts.send,
    send: async (body) => {
      await new RestApiClient(BASE).request("POST", "/api/registration/mail", { body });
      tell(place, texts.sentTo(isolate(body.address)), words.wayIn.back, back);
    },
    others: [button(words.wayIn.haveInvitation, invited, { class: "link" }), button(words.wayIn.haveAccount, back, { class: "link" })],
  });
}

/** Say that something is done. @param {HTMLElement} place @param {string} text @param {string} submit @param {() => void} next */
function tell(place, text, submit, next) {
  smallForm(place, { title: texts.done, shown: [element("p", { class: "told", role: "status" }, text)], submit, send: async () => next() });
}
