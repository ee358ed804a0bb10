/** One's own data: an export of it, and the end of the account. */

import { ask, button, element, fill } from "../dom.js";
import { size } from "../format.js";
import { problem } from "../problems.js";
import { FormField, tellRefusal } from "../way-in/form-field.js";
import { words } from "../words.js";
import { loaded } from "./parts.js";

/** @import { Messenger } from "../messenger.js" */
/** @import { Me } from "../../sdk/types.js" */

const texts = words.settings.data;
const KEPT_MS = 60_000;

/** @param {Messenger} messenger */
export function draw(messenger) {
  const account = loaded(
    async () => {
      const { restApi } = messenger.messaging;
      const [me, second] = await Promise.all([messenger.store.refreshMe(), restApi.request("GET", "/api/users/me/second-factor")]);
      return { me, second: second.since !== null };
    },
    ({ me, second }) => (me.may_erase ? erasure(messenger, me, second) : element("p", {}, texts.byAdmins)),
  );
  return [
    element("p", { class: "intro" }, texts.intro),
    exporting(messenger),
    element("section", { class: "own-data" }, element("h4", {}, texts.eraseTitle), element("p", {}, texts.eraseWhat), element("p", { class: "note" }, texts.eraseKept), account),
  ];
}

/** @param {Messenger} messenger */
function exporting(messenger) {
  const failure = element("p", { class: "failure", role: "alert" });
  const told = element("p", { class: "told", role: "status" });
  const stop = button(texts.stop, () => running?.abort(), { hidden: true });
  const begin = button(texts.export, () => void run(), { class: "primary" });
  /** @type {AbortController | null} */
  let running = null;

  async function run() {
    running = new AbortController();
    begin.disabled = true;
    stop.hidden = false;
    fill(failure);
    fill(told, texts.exporting(size(0)));
    try {
      const onProgress = (/** @type {number} */ bytes) => fill(told, texts.exporting(size(bytes)));
      const file = await messenger.messaging.restApi.exportAccount({ onProgress, signal: running.signal });
      const url = URL.createObjectURL(file);
      element("a", { href: url, download: file.name }).click();
      setTimeout(() => URL.revokeObjectURL(url), KEPT_MS); // the browser may read it a while after the click
      fill(told, texts.exported(size(file.size)));
    } catch (error) {
      fill(told);
      if (!running.signal.aborted) fill(failure, problem(error));
    } finally {
      begin.disabled = false;
      stop.hidden = true;
    }
  }

  return element("section", { class: "own-data" }, element("h4", {}, texts.exportTitle), element("p", {}, texts.exportWhat), failure, told, element("p", { class: "choices" }, begin, stop));
}

/** @param {Messenger} messenger @param {Me} me @param {boolean} second whether there is a second factor */
function erasure(messenger, me, second) {
  const password = new FormField("current_password", texts.password, { type: "password", autocomplete: "current-password", required: true });
  const code = new FormField("code", words.settings.second.code, { autocomplete: "one-time-code", spellcheck: "false", maxlength: 40, dir: "ltr", required: true });
  const fields = [...(me.has_password ? [password] : []), ...(me.has_password && second ? [code] : [])];
  const failure = element("p", { class: "failure", role: "alert" });
  const press = element("button", { class: "danger" }, texts.erase);

  async function erase() {
    for (const field of fields) field.tell(field.input.value === "" ? words.wayIn.missing(field.label) : "");
    const wrong = fields.find(({ isWrong }) => isWrong);
    if (wrong) return wrong.input.focus();
    if (!(await ask(texts.question, texts.erase, texts.forGood))) return;
    press.disabled = true;
    fill(failure);
    try {
      await messenger.eraseAccount(Object.fromEntries(fields.map(({ name, input }) => [name, input.value])));
    } catch (error) {
      tellRefusal(fields, failure, error)?.input.select();
    } finally {
      press.disabled = false;
    }
  }

  return element(
    "form",
    { class: "fields", novalidate: true, onsubmit: (/** @type {Event} */ event) => (event.preventDefault(), void erase()) },
    element("input", { type: "text", name: "username", autocomplete: "username", value: messenger.session.userId, hidden: true }),
    !me.has_password && element("p", {}, texts.freshLogin),
    ...fields.map(({ node }) => node),
    failure,
    element("p", { class: "choices" }, press),
  );
}
