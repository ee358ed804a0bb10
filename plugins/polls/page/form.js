/** The form that asks a poll. */

import { element, field, openDialog } from "../../app/dom.js";
import { localSeconds, localTime } from "../../app/format.js";
import { texts } from "./texts.js";

/** @import { Relay } from "../../app/page-module.js" */

const MAX_OPTIONS = 20;

/**
 * Open the form. A poll that is refused comes back into it: what was written is not lost.
 *
 * @param {Relay} relay
 * @param {Record<string, any>} [said] the payload of a poll that was refused
 */
export function writePoll(relay, said = { options: [] }) {
  const question = element("input", { value: said.question, required: true, maxlength: 300, dir: "auto", autofocus: true, autocomplete: "off" });
  const options = element("div", { class: "poll-options", role: "group", "aria-label": texts.options });
  const multiple = element("input", { type: "checkbox", checked: said.multiple });
  const anonymous = element("input", { type: "checkbox", checked: said.anonymous });
  const closes = element("input", { type: "datetime-local", value: localTime(said.closes_at), min: localTime(Date.now() / 1000) });
  const inputs = () => [...options.querySelectorAll("input")];
  const typedTexts = () => inputs().map(({ value }) => value.trim());

  /** Keep one empty option at the end, and name options that are there twice. */
  const typed = () => {
    const written = typedTexts();
    for (const [at, input] of inputs().entries())
      input.setCustomValidity(written[at] && written.indexOf(written[at]) < at ? texts.optionTwice : "");
    if (written.length < MAX_OPTIONS && written.at(-1) !== "") add("");
  };
  /** @param {KeyboardEvent} event */
  const entered = (event) => {
    const next = /** @type {HTMLElement} */ (event.target).nextElementSibling;
    if (event.key !== "Enter" || event.isComposing || !next) return;
    event.preventDefault(); // it would send the form
    /** @type {HTMLElement} */ (next).focus();
  };
  const add = (/** @type {string} */ value) => {
    const label = texts.option(options.childElementCount + 1);
    const required = options.childElementCount < 2;
    options.append(
      element("input", {
        value, required, "aria-label": label, placeholder: label, maxlength: 100, dir: "auto", autocomplete: "off", oninput: typed, onkeydown: entered,
      }),
    );
  };
  for (const text of [...said.options, "", ""].slice(0, MAX_OPTIONS)) add(text);
  typed();

  /** @param {Event} event */
  const send = async (event) => {
    event.preventDefault();
    dialog.close();
    const closes_at = localSeconds(closes.value);
    const poll = { question: question.value.trim(), options: typedTexts().filter(Boolean), multiple: multiple.checked, anonymous: anonymous.checked };
    const payload = closes_at ? { ...poll, closes_at } : poll;
    if (!(await relay.send("poll", payload))) writePoll(relay, payload);
  };
  const dialog = openDialog(
    texts.poll,
    element(
      "form",
      { onsubmit: send },
      field(texts.question, question),
      element("div", { class: "field" }, element("span", {}, texts.options), options),
      element("label", { class: "check" }, multiple, element("span", {}, texts.multiple)),
      element("label", { class: "check" }, anonymous, element("span", {}, texts.anonymous)),
      field(texts.closesAt, closes),
      element("p", { class: "choice" }, element("button", { class: "primary" }, texts.ask)),
    ),
  );
}
