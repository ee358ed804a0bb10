/** How many characters are left of a text, told once it is near to the most that the server takes. */

import { element, fill } from "../dom.js";
import { counted, words } from "../words.js";

/** As the server has it, unless it has said otherwise. */
const MAX_CHARACTERS = 20_000;
/** From this part of the most on, one sees how many characters are left. */
const COUNTED_FROM = 0.9;

export class CharacterCount {
  #field;
  #limits;

  /**
   * @param {HTMLTextAreaElement} field
   * @param {() => { content_characters?: number }} limits as the server has told them
   */
  constructor(field, limits) {
    this.#field = field;
    this.#limits = limits;
    this.node = element("p", { class: "count note", role: "status" });
  }

  /** How many more characters the server takes; Infinity as long as that is no matter. */
  get left() {
    const { content_characters: most = MAX_CHARACTERS } = this.#limits();
    const { value } = this.#field;
    if (most === 0 || value.length < most * COUNTED_FROM) return Infinity;
    const left = most - [...value.trim()].length; // the server counts code points
    return left < most * (1 - COUNTED_FROM) ? left : Infinity;
  }

  show() {
    const { left } = this;
    this.node.classList.toggle("failure", left < 0);
    const told = left < 0 ? counted(-left, words.composer.tooLong) : left < Infinity ? counted(left, words.composer.left) : "";
    if (this.node.textContent !== told) fill(this.node, told);
  }
}
