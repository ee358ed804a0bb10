/** One's mail address: shown, changed by a link that is sent to the new one, and removed. */

import { button, element, fill } from "../dom.js";
import { isolate } from "../format.js";
import { FormField, tellRefusal } from "../way-in/form-field.js";
import { words } from "../words.js";
import { loaded } from "./parts.js";

/** @import { Messenger } from "../messenger.js" */
/** @typedef {{ address: string | null, pending: string | null }} MyMail */

const texts = words.settings.mail;
const PATH = "/api/users/me/mail";

/**
 * Draw the address, where this server sends mails or knows one.
 *
 * @param {Messenger} messenger
 */
export function mailAddress(messenger) {
  const { restApi } = messenger.messaging;
  const place = element("div", { class: "mail-address" });
  const begin = () =>
    fill(
      place,
      loaded(
        async () => {
          /** @type {[MyMail, { mail?: boolean }]} */
          const [mine, { mail: sends = false }] = await Promise.all([restApi.request("GET", PATH), restApi.request("GET", "/api/registration")]);
          return { mine, sends };
        },
        ({ mine, sends }) => (sends || mine.address ? shown(mine, sends) : []),
      ),
    );

  /** @param {MyMail} mine @param {boolean} sends */
  const shown = ({ address, pending }, sends) => [
    element(
      "div",
      { class: "setting" },
      element("div", { class: "caption" }, element("span", {}, texts.title)),
      element(
        "div",
        { class: "choices" },
        element("output", { class: "fixed" }, element("bdi", {}, address ?? texts.none)),
        sends && button(address ? texts.change : texts.add, () => ask(true), { class: "link" }),
        address && button(texts.remove, () => ask(false), { class: "link" }),
      ),
      pending && element("p", { class: "note", role: "status" }, texts.pending(isolate(pending))),
      element("small", { class: "note" }, texts.hint),
    ),
  ];

  /** Ask for the password, and for the new address where there is to be one. @param {boolean} fresh */
  function ask(fresh) {
    const address = new FormField("address", texts.address, { type: "email", autocomplete: "email", maxlength: 254, dir: "ltr" });
    const password = new FormField("current_password", texts.password, { type: "password", autocomplete: "current-password" });
    const fields = fresh ? [address, password] : [password];
    const failure = element("p", { class: "failure", role: "alert" });
    const send = async () => {
      for (const field of fields) field.tell(field.input.value === "" ? words.wayIn.missing(field.label) : "");
      const wrong = fields.find(({ isWrong }) => isWrong);
      if (wrong) return wrong.input.focus();
      try {
        await restApi.request("PUT", PATH, { body: { address: fresh ? address.value : null, current_password: password.input.value } });
        begin();
      } catch (error) {
        tellRefusal(fields, failure, error)?.input.focus();
      }
    };
    const press = element("button", { class: fresh ? "primary" : "danger" }, fresh ? texts.send : texts.remove);
    fill(
      place,
      element(
        "form",
        { class: "fields", novalidate: true, onsubmit: (/** @type {Event} */ event) => (event.preventDefault(), void send()) },
        ...fields.map(({ node }) => node),
        failure,
        element("p", { class: "choices" }, press, button(texts.cancel, begin)),
      ),
    );
    fields[0].input.focus();
  }

  begin();
  return place;
}
