/** The bar below a conversation's header: the message that was pinned last. A press goes there; all of them are in a list. */

import { button, element, fill, icon } from "../dom.js";
import { direction, isolate } from "../format.js";
import { quoteLine } from "../people/avatar.js";
import { gist } from "../texts.js";
import { words } from "../words.js";
import { loadPins, messageOf, openPins } from "./pins.js";

/** @import { ConversationPane } from "../conversation/conversation.js" */
/** @import { Pinned } from "./pins.js" */
/** @import { ConversationView } from "../../sdk/index.js" */

export class PinBar {
  /** @type {Pinned[]} */
  #pins = [];
  #loaded = false;
  #drawn = "";
  #known = "";
  #asked = 0;
  /** @type {(() => void)[]} */
  #ends;

  /** @param {ConversationPane} pane */
  constructor(pane) {
    this.pane = pane;
    this.node = element("div", { class: "pin-bar", role: "region", "aria-label": words.threads.pins, hidden: true });
    const { messaging, store } = pane;
    this.#ends = [
      messaging.socketManager.on("message", (envelope) => this.#came(envelope)),
      store.subscribe("connection", () => store.connection.state === "connected" && void this.#load()),
    ];
    queueMicrotask(() => void this.#load());
  }

  close() {
    for (const end of this.#ends.splice(0)) end();
  }

  /** Draw it with what changed in the conversation. @param {ConversationView} view */
  show(view) {
    // One's own pins are told by their acks alone: what is held of the conversation shows them.
    const known = view.messages.filter(({ pinned }) => pinned).map(({ messageId, editedAt }) => `${messageId} ${editedAt ?? ""}`).join();
    if (known !== this.#known && this.#loaded) void this.#load();
    this.#known = known;
    if (view.over) this.#pins = [];
    this.#draw();
  }

  /** @param {import("../../sdk/index.js").Envelope<any>} envelope */
  #came({ type, payload, meta }) {
    const here = meta.target_id === this.pane.id || meta.sender_id === this.pane.id;
    const about = payload.message_id;
    if (!here || (type !== "pin" && !this.#pins.some(({ message }) => message.meta.message_id === about))) return;
    if (type === "pin" || type === "message_delete" || type === "message_edit") void this.#load();
  }

  async #load() {
    if (this.pane.view.over) return;
    const asked = (this.#asked += 1);
    try {
      const pins = await loadPins(this.pane);
      if (asked !== this.#asked) return;
      this.#pins = pins;
      this.#loaded = true;
      this.#draw();
    } catch {
      // without a network, or of somebody to whom nobody wrote yet: it is asked again with the next connection or pin
      this.#loaded = true;
    }
  }

  #draw() {
    const { names } = this.pane;
    const [newest] = this.#pins;
    const drawn = newest ? `${newest.message.meta.message_id} ${newest.message.meta.edit_id ?? ""} ${this.#pins.length} ${names.version}` : "";
    if (drawn === this.#drawn) return;
    this.#drawn = drawn;
    this.node.hidden = !newest;
    if (!newest) return fill(this.node);
    const message = messageOf(newest.message);
    const text = gist(message, names);
    const go = () => void this.pane.messenger.openConversation(this.pane.id, message.seq);
    const said = element("span", { class: "said", dir: direction(text) }, ...quoteLine(names.of(message.senderId), text));
    const title = words.threads.goToPin(isolate(text));
    const all = button(words.threads.allPins(this.#pins.length), () => openPins(this.pane), { class: "link" });
    fill(this.node, icon("pin"), element("button", { type: "button", class: "go", title, onclick: go }, said), all);
  }
}
