/** The sample data: offered to the first one on a new server, and removed again. Both are for administrators. */

import { ask, button, element, fill } from "../dom.js";
import { problem } from "../problems.js";
import { language, words } from "../words.js";

/** @import { RestApiClient } from "../../sdk/index.js" */
/** @typedef {{ there: boolean, users: string[], groups: string[], offered: boolean }} Sample */

const texts = words.sample;
const PATH = "/api/admin/sample";

/**
 * Draw what can be done about the sample data; nothing where it is neither there nor offered.
 *
 * @param {RestApiClient} rest
 * @param {(there: boolean) => void} [changed] called once it was added or removed
 */
export function sampleOffer(rest, changed = () => {}) {
  const failure = element("p", { class: "failure", role: "alert" });
  const place = element("div", { class: "sample" });

  /** @param {Sample} sample */
  const draw = ({ there, offered }) => {
    const add = button(texts.add, () => void change("POST", add, texts.adding));
    const remove = button(texts.remove, () => void take(), { class: "danger" });
    const take = async () => {
      if (await ask(texts.removeQuestion, texts.remove, texts.removeWhy)) await change("DELETE", remove, texts.removing);
    };
    const shown = there ? [element("p", { class: "note" }, texts.there), element("p", { class: "choices" }, remove)] : offered && [element("p", { class: "note" }, texts.offer), element("p", { class: "choices" }, add)];
    fill(place, ...(shown || []), failure);
  };

  /** @param {"POST" | "DELETE"} method @param {HTMLButtonElement} pressed @param {string} busy */
  async function change(method, pressed, busy) {
    pressed.disabled = true;
    fill(pressed, busy);
    fill(failure);
    try {
      const sample = await rest.request(method, PATH, method === "POST" ? { body: { language } } : {});
      draw(sample);
      changed(sample.there);
    } catch (error) {
      await look();
      fill(failure, problem(error));
    }
  }

  async function look() {
    const sample = await rest.request("GET", PATH).catch(() => null); // it is an offer: without an answer there is none
    if (sample) draw(sample);
  }

  void look();
  return place;
}
