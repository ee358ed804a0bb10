/** A card of the way in that asks for one thing: a title, some fields, one button, and what else one may do. */

import { element, fill } from "../dom.js";
import { BASE } from "../session.js";
import { words } from "../words.js";
import { tellRefusal } from "./form-field.js";

/** @import { FormField } from "./form-field.js" */

/**
 * @typedef {object} SmallForm
 * @property {string} title
 * @property {string} [intro]
 * @property {FormField[]} [fields]
 * @property {(Node | false)[]} [shown] what stands between the intro and the fields
 * @property {string} submit
 * @property {(given: Record<string, string>) => Promise<void>} send
 * @property {HTMLElement[]} [others] below the button
 * @property {Record<string, string>} [about] the fields of refusals that name none, by their reasons
 */

/**
 * Show a card in place of what was shown.
 *
 * @param {HTMLElement} place
 * @param {SmallForm} form
 */
export function smallForm(place, { title, intro = "", fields = [], shown = [], submit, send, others = [], about = {} }) {
  const failure = element("p", { class: "failure", role: "alert" });
  const button = element("button", { class: "primary" }, submit);
  const enter = async () => {
    for (const field of fields) field.tell(field.value === "" ? words.wayIn.missing(field.label) : "");
    const wrong = fields.find(({ isWrong }) => isWrong);
    if (wrong) return wrong.input.focus();
    button.disabled = true;
    fill(failure);
    try {
      await send(Object.fromEntries(fields.map(({ name, value }) => [name, value])));
    } catch (error) {
      const reason = /** @type {any} */ (error)?.details?.reason;
      const field = tellRefusal(fields, failure, error, about[reason]);
      field?.input.focus();
      field?.input.select();
    } finally {
      button.disabled = false;
    }
  };
  const card = element(
    "form",
    { class: "card", novalidate: true, onsubmit: (/** @type {Event} */ event) => (event.preventDefault(), void enter()) },
    element("img", { src: `${BASE}/app/icon.svg`, alt: "", class: "logo", width: 48, height: 48 }),
    element("h1", { tabindex: "-1" }, title),
    intro && element("p", { class: "intro" }, intro),
    ...shown,
    ...fields.map(({ node }) => node),
    failure,
    button,
    others.length > 0 && element("div", { class: "others" }, ...others),
  );
  fill(place, element("main", { class: "way-in" }, card));
  (fields[0]?.input ?? card.querySelector("h1"))?.focus();
}
