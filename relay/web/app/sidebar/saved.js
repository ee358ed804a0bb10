/** The messages that this user saved: a list for them alone, that leads to each. */

import { button, element, fill, icon, openDialog } from "../dom.js";
import { problem } from "../problems.js";
import { words } from "../words.js";
import { addCommand } from "./commands.js";
import { drawMessage, placeOf } from "./found.js";

/** @import { Messenger } from "../messenger.js" */
/** @import { Envelope } from "../../sdk/types.js" */

addCommand({
  key: "saved",
  label: () => words.sidebar.saved,
  words: () => words.sidebar.savedWords,
  icon: "bookmark",
  menu: 30,
  shown: ({ store }) => store.marks.supported,
  press: (messenger) => openSaved(messenger),
});

/** @param {Messenger} messenger */
function openSaved(messenger) {
  const { store, names } = messenger;
  /** @type {{ message: Envelope<any>, saved_at: number }[]} */
  let saved = [];
  /** @type {number | null} */
  let cursor = null;
  let loaded = false;
  const told = element("p", { class: "told", role: "status" });
  const list = element("ul", { class: "saved", "aria-label": words.sidebar.saved });
  const more = button(words.sidebar.showMore, () => void load(), { class: "link" });
  const dialog = openDialog(words.sidebar.saved, element("div", {}, told, list, more));
  dialog.classList.add("wide");
  dialog.addEventListener("close", names.onChange(draw));
  void load();

  async function load() {
    try {
      const page = await store.marks.loadSaved({ cursor });
      saved.push(...page.saved);
      cursor = page.next_cursor;
      loaded = true;
    } catch (error) {
      fill(told, problem(error));
    }
    draw();
  }

  function draw() {
    more.hidden = cursor === null;
    if (loaded) fill(told, saved.length === 0 ? words.sidebar.noneSaved : "");
    fill(list, ...saved.map((one) => drawSaved(one)));
  }

  /** @param {{ message: Envelope<any>, saved_at: number }} one */
  function drawSaved(one) {
    const { message } = one;
    const id = placeOf(message, messenger);
    const press = () => {
      dialog.close();
      void messenger.openConversation(id, message.meta.seq).catch(messenger.failed);
    };
    const remove = () => {
      store.marks.save(id, message.meta.message_id ?? 0, false);
      saved = saved.filter((other) => other !== one);
      draw();
      /** @type {HTMLElement | null} */ (list.querySelector("button") ?? dialog.querySelector("button"))?.focus();
    };
    return element("li", {}, drawMessage(message, messenger, { press }), button(words.sidebar.unsave, remove, { sign: icon("close"), class: "quiet" }));
  }
}
