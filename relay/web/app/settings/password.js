/** One's password. */

import { element, fill } from "../dom.js";
import { fieldProblem, problem } from "../problems.js";
import { FormField } from "../way-in/form-field.js";
import { words } from "../words.js";

/** @import { Messenger } from "../messenger.js" */

const texts = words.settings.password;
/** The length of a new password, until the server has told. */
const LEAST = 8;

/** @param {Messenger} messenger */
export function draw(messenger) {
  const { restApi } = messenger.messaging;
  let least = LEAST;
  const current = new FormField("current_password", texts.current, { type: "password", autocomplete: "current-password", required: true });
  const fresh = new FormField("password", texts.fresh, { type: "password", autocomplete: "new-password", required: true });
  const again = new FormField("again", texts.again, { type: "password", autocomplete: "new-password", required: true });
  const fields = [current, fresh, again];
  const failure = element("p", { class: "failure", role: "alert" });
  const done = element("p", { class: "told", role: "status" });
  const send = element("button", { class: "primary" }, texts.change);
  const help = () => fresh.help(words.wayIn.passwordHint(least));
  help();
  restApi.request("GET", "/api/registration").then(
    ({ password_min_length: told }) => ((least = told), help()),
    () => {}, // without it the server's refusal says the length
  );

  async function change() {
    fill(failure);
    fill(done);
    const [was, chosen, repeated] = fields.map(({ input }) => input.value);
    current.tell(was ? "" : texts.missing);
    fresh.tell(chosen.length < least ? words.wayIn.passwordHint(least) : "");
    again.tell(repeated === chosen ? "" : texts.different);
    const wrong = fields.find((field) => field.isWrong);
    if (wrong) return wrong.input.focus();
    send.disabled = true;
    try {
      await restApi.updateMe({ password: chosen, current_password: was });
      for (const { input } of fields) input.value = "";
      fill(done, texts.changed);
    } catch (error) {
      refuse(error);
    } finally {
      send.disabled = false;
    }
  }

  /** @param {unknown} error */
  function refuse(error) {
    const { reason } = /** @type {any} */ (error)?.details ?? {};
    if (reason === "wrong_password" || fieldProblem(error, "current_password")) current.tell(problem(error));
    else if (fieldProblem(error, "password")) fresh.tell(problem(error));
    else return fill(failure, problem(error));
    fields.find((field) => field.isWrong)?.input.focus();
  }

  return [
    element("p", { class: "intro" }, texts.intro),
    element(
      "form",
      { class: "fields", novalidate: true, onsubmit: (/** @type {Event} */ event) => (event.preventDefault(), void change()) },
      // So that a password manager knows whose password it is.
      element("input", { type: "text", name: "username", autocomplete: "username", value: messenger.session.userId, hidden: true }),
      ...fields.map(({ node }) => node),
      failure,
      done,
      element("p", { class: "choices" }, send),
    ),
  ];
}
