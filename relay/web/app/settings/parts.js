/** Parts that the sections of the settings are made of: rows with a hint, and what says that a change was kept. */

import { button, element, fill } from "../dom.js";
import { problem } from "../problems.js";
import { words } from "../words.js";

const SHOWN_MS = 4_000;
let count = 0;

/** Says beside a control whether its change was kept. */
export class Saving {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  node = element("span", { class: "kept", role: "status" });

  /**
   * Make a change; whether it was kept.
   *
   * @param {() => Promise<unknown>} change
   * @param {string} [done] what is said once it is kept
   */
  async keep(change, done = words.settings.saved) {
    this.#say(words.settings.saving);
    try {
      await change();
    } catch (error) {
      this.fail(problem(error));
      return false;
    }
    this.#say(done);
    this.#timer = setTimeout(() => this.#say(""), SHOWN_MS);
    return true;
  }

  /** Say what is wrong. @param {string} text */
  fail(text) {
    this.#say(text, "failure");
  }

  /** @param {string} text @param {string} [kind] */
  #say(text, kind = "") {
    clearTimeout(this.#timer);
    fill(this.node, text && element("span", { class: kind }, text));
  }
}

/**
 * Draw a labelled control with its hint.
 *
 * @param {string} label
 * @param {HTMLElement} control
 * @param {{ hint?: string, saving?: Saving }} [more] saving: says beside the label whether it was kept
 */
export function row(label, control, { hint = "", saving } = {}) {
  count += 1;
  control.id ||= `setting-${count}`;
  const told = hint && element("small", { class: "note", id: `${control.id}-hint` }, hint);
  if (told) control.setAttribute("aria-describedby", told.id);
  const caption = element("label", { for: control.id }, element("span", {}, label));
  return element("div", { class: "setting" }, element("div", { class: "caption" }, caption, saving?.node), control, told);
}

/**
 * Draw a choice from a list.
 *
 * @param {Record<string, string>} options their texts, by value
 * @param {string} value
 * @param {(value: string) => void} [changed]
 */
export function select(options, value, changed) {
  const node = element(
    "select",
    { onchange: () => changed?.(node.value) },
    ...Object.entries(options).map(([key, text]) => element("option", { value: key, selected: key === value }, text)),
  );
  return node;
}

/**
 * Draw choices that are all seen at once.
 *
 * @param {string} label
 * @param {Record<string, string>} options their texts, by value
 * @param {string} value
 * @param {(value: string) => void} changed
 */
export function radios(label, options, value, changed) {
  count += 1;
  const name = `choice-${count}`;
  return element(
    "fieldset",
    { class: "setting" },
    element("legend", {}, label),
    element(
      "div",
      { class: "radios" },
      ...Object.entries(options).map(([key, text]) =>
        element(
          "label",
          {},
          element("input", { type: "radio", name, value: key, checked: key === value, onchange: () => changed(key) }),
          element("span", {}, text),
        ),
      ),
    ),
  );
}

/**
 * Draw a switch with its label and hint.
 *
 * @param {string} label
 * @param {boolean} on
 * @param {{ hint?: string, saving?: Saving, changed: (on: boolean) => void }} more
 */
export function toggle(label, on, { hint = "", saving, changed }) {
  count += 1;
  const id = `switch-${count}`;
  const node = element("input", {
    type: "checkbox", role: "switch", id, checked: on, "aria-describedby": hint && `${id}-hint`, onchange: () => changed(node.checked),
  });
  return element(
    "div",
    { class: "setting switch" },
    element("label", { for: id }, element("span", {}, label)),
    node,
    hint && element("small", { class: "note", id: `${id}-hint` }, hint),
    saving?.node,
  );
}

/**
 * Draw a button that copies a text, and says that it did.
 *
 * @param {string} label
 * @param {() => string} text
 * @param {Record<string, any>} [attributes]
 */
export function copyButton(label, text, attributes) {
  const node = button(
    label,
    () =>
      void navigator.clipboard.writeText(text()).then(
        () => {
          fill(node, words.settings.profile.copied);
          setTimeout(() => fill(node, label), SHOWN_MS);
        },
        () => {}, // the browser forbids it; the text stands beside the button
      ),
    attributes,
  );
  node.setAttribute("aria-live", "polite");
  return node;
}

/**
 * Draw what is loaded first: a line that says so, then what `draw` returns, or what went wrong and a button to try again.
 *
 * @template Value
 * @param {() => Promise<Value>} load
 * @param {(value: Value, again: () => void) => Node | Node[]} draw
 */
export function loaded(load, draw) {
  const place = element("div", { class: "loaded" });
  const begin = async () => {
    fill(place, element("p", { class: "told", role: "status" }, words.settings.loading));
    try {
      fill(place, ...[draw(await load(), () => void begin())].flat());
    } catch (error) {
      const again = button(words.settings.again, () => void begin());
      fill(place, element("p", { class: "failure", role: "alert" }, problem(error)), element("p", {}, again));
    }
  };
  void begin();
  return place;
}
