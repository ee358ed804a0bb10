/** One's second factor: set up with an authenticator app, renewed recovery codes, and turned off. */

import { button, element, fill } from "../dom.js";
import { moment } from "../format.js";
import { FormField, tellRefusal } from "../way-in/form-field.js";
import { recoveryCodes, secret } from "../way-in/second-factor.js";
import { counted, words } from "../words.js";
import { loaded } from "./parts.js";

/** @import { Messenger } from "../messenger.js" */
/** @typedef {{ since: number | null, recovery_codes_left: number, required: boolean }} SecondFactor */
/** @typedef {{ intro?: string, shown?: Node[], fields: FormField[], submit: string, send: (given: Record<string, string>) => Promise<void> }} Step */

const texts = words.settings.second;
const PATH = "/api/users/me/second-factor";

/** @param {Messenger} messenger */
export function draw(messenger) {
  const { restApi } = messenger.messaging;
  const place = element("div", { class: "second-factor" });
  const call = (/** @type {string} */ method, /** @type {string} */ path, /** @type {unknown} */ body) => restApi.request(method, PATH + path, { body });

  const begin = () => {
    const shown = loaded(
      () => /** @type {Promise<SecondFactor>} */ (restApi.request("GET", PATH)),
      (state) => (state.since === null ? off(state) : on(state)),
    );
    fill(place, shown);
  };

  /** @param {SecondFactor} state */
  const off = ({ required }) => [
    element("p", {}, required ? `${texts.off} ${texts.required}` : texts.off),
    element("p", { class: "choices" }, button(texts.begin, askPassword, { class: "primary" })),
  ];

  /** @param {SecondFactor} state */
  const on = ({ since, recovery_codes_left: left, required }) => [
    element("p", {}, texts.on(moment(since ?? 0))),
    element("p", {}, counted(left, texts.left)),
    element(
      "p",
      { class: "choices" },
      button(texts.renew, () => prove(texts.renew, async (given) => showCodes((await call("POST", "/recovery-codes", given)).recovery_codes))),
      !required && button(texts.turnOff, () => prove(texts.turnOff, async (given) => (await call("POST", "/off", given), begin())), { class: "danger" }),
    ),
  ];

  const askPassword = () =>
    step({
      fields: [password()],
      submit: texts.next,
      send: async (given) => confirm(await call("POST", "", given)),
    });

  /** @param {{ qr: string[], secret: string, link: string }} enrolment */
  const confirm = (enrolment) =>
    step({
      shown: secret(enrolment),
      fields: [code(words.wayIn.second.firstHint)],
      submit: texts.confirm,
      send: async (given) => showCodes((await call("PUT", "", given)).recovery_codes),
    });

  const prove = (/** @type {string} */ submit, /** @type {Step["send"]} */ send) =>
    step({ fields: [password(), code(texts.codeHint)], submit, send });

  /** @param {string[]} codes */
  const showCodes = (codes) => {
    const { codesTitle, codesIntro, kept } = words.wayIn.second;
    const title = element("h4", { tabindex: "-1" }, codesTitle);
    fill(place, title, element("p", {}, codesIntro), ...recoveryCodes(codes), element("p", { class: "choices" }, button(kept, begin, { class: "primary" })));
    title.focus();
  };

  /** @param {Step} what */
  function step({ shown = [], fields, submit, send }) {
    const failure = element("p", { class: "failure", role: "alert" });
    const press = element("button", { class: "primary" }, submit);
    const enter = async () => {
      for (const field of fields) field.tell(field.input.value === "" ? words.wayIn.missing(field.label) : "");
      const wrong = fields.find(({ isWrong }) => isWrong);
      if (wrong) return wrong.input.focus();
      press.disabled = true;
      fill(failure);
      try {
        await send(Object.fromEntries(fields.map(({ name, input }) => [name, input.value])));
      } catch (error) {
        tellRefusal(fields, failure, error)?.input.select();
      } finally {
        press.disabled = false;
      }
    };
    const form = element(
      "form",
      { class: "fields", novalidate: true, onsubmit: (/** @type {Event} */ event) => (event.preventDefault(), void enter()) },
      element("input", { type: "text", name: "username", autocomplete: "username", value: messenger.session.userId, hidden: true }),
      ...shown,
      ...fields.map(({ node }) => node),
      failure,
      element("p", { class: "choices" }, press, button(texts.cancel, begin)),
    );
    fill(place, form);
    fields[0].input.focus();
  }

  begin();
  return [element("p", { class: "intro" }, texts.intro), place];
}

function password() {
  return new FormField("current_password", texts.password, { type: "password", autocomplete: "current-password", required: true });
}

/** @param {string} hint */
function code(hint) {
  const field = new FormField("code", texts.code, { autocomplete: "one-time-code", spellcheck: "false", maxlength: 40, dir: "ltr", required: true });
  field.help(hint);
  return field;
}
