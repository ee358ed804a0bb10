/** One field of the way in: its label, its input, help, and what is wrong with it. */

import { button, element, fill, icon } from "../dom.js";
import { fieldOf, problem } from "../problems.js";
import { words } from "../words.js";

let count = 0;

export class FormField {
  #help = element("span", { class: "help" });
  #wrong = element("span", { class: "wrong", role: "alert" });

  /**
   * @param {string} name the field's name in the call's body
   * @param {string} label
   * @param {Record<string, any>} attributes of the input
   */
  constructor(name, label, attributes) {
    count += 1;
    const id = `field-${count}`;
    this.name = name;
    this.label = label;
    this.#help.id = `${id}-help`;
    this.#wrong.id = `${id}-wrong`;
    this.input = element("input", {
      ...attributes, id, name, "aria-describedby": `${id}-help ${id}-wrong`, oninput: () => this.tell(""),
    });
    const control = attributes.type === "password" ? element("span", { class: "secret" }, this.input, this.#eye()) : this.input;
    const caption = element("label", { for: id }, label);
    this.node = element("div", { class: "field" }, element("span", {}, caption), control, this.#help, this.#wrong);
  }

  /** What was entered; only a password keeps its blanks. */
  get value() {
    return this.name === "password" ? this.input.value : this.input.value.trim();
  }

  get isWrong() {
    return this.#wrong.hasChildNodes();
  }

  /** Say below the input what belongs into it. @param {string} text */
  help(text) {
    fill(this.#help, text);
  }

  /** Say what is wrong, in place of the help; nothing for the empty text. @param {string} text */
  tell(text) {
    fill(this.#wrong, text || null);
    if (text) this.input.setAttribute("aria-invalid", "true");
    else this.input.removeAttribute("aria-invalid");
  }

  /** A button that shows the password. */
  #eye() {
    const toggle = () => {
      const shows = this.input.type === "password";
      this.input.type = shows ? "text" : "password";
      eye.setAttribute("aria-pressed", String(shows));
      this.input.focus();
    };
    const eye = button(words.wayIn.showPassword, toggle, { sign: icon("eye"), class: "quiet", "aria-pressed": "false" });
    return eye;
  }
}

/**
 * Say why a call was refused at the field that it is about, and return that; below the form where it is about none.
 *
 * @param {FormField[]} fields
 * @param {HTMLElement} failure
 * @param {unknown} error
 * @param {string} [name] of the field
 */
export function tellRefusal(fields, failure, error, name = fieldOf(error)) {
  const field = fields.find((one) => one.name === name);
  if (field) field.tell(problem(error));
  else fill(failure, problem(error));
  return field;
}
