/** The search box and its results. */

import { cardText } from "./cards.js";
import { element, fill } from "./dom.js";
import { shortly, straight, upright } from "./format.js";

/** @import { Messenger } from "./messenger.js" */
/** @import { Envelope } from "../sdk/types.js" */

const PAUSE_MS = 250;
const RESULTS = 30;

/** The HTML entities that snippets contain. @type {Record<string, string>} */
const ENTITIES = { lt: "<", gt: ">", amp: "&", quot: '"', "#x27": "'", "#39": "'" };

export class SearchBox {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #running = new AbortController();
  /** @type {{ message: Envelope<any>, snippet: string }[]} */
  #found = [];
  #forget;

  /**
   * @param {Messenger} messenger
   * @param {HTMLElement} list hidden while results are shown
   */
  constructor(messenger, list) {
    this.messenger = messenger;
    this.list = list;
    this.input = element("input", {
      type: "search",
      placeholder: "Search messages",
      dir: "auto",
      autocomplete: "off",
      "aria-label": "Search messages",
      oninput: () => this.#wait(),
      onkeydown: (/** @type {KeyboardEvent} */ event) => event.key === "Escape" && this.clear(),
    });
    this.told = element("p", { class: "told", role: "status" });
    this.results = element("ol", { class: "results", "aria-label": "Found" });
    this.node = element("search", {}, this.input, this.told, this.results);
    this.#forget = messenger.names.onChange(() => this.#show());
  }

  close() {
    this.#forget();
    clearTimeout(this.#timer);
    this.#running.abort();
  }

  clear() {
    this.input.value = "";
    this.#wait();
  }

  #wait() {
    clearTimeout(this.#timer);
    this.#running.abort();
    const query = this.input.value.trim();
    this.list.hidden = query !== "";
    this.#found = [];
    this.#show();
    fill(this.told);
    if (query) this.#timer = setTimeout(() => void this.#search(query), PAUSE_MS);
  }

  /** @param {string} query */
  async #search(query) {
    const { signal } = (this.#running = new AbortController());
    try {
      const { results } = await this.messenger.messaging.searchMessages(query, { limit: RESULTS, signal });
      fill(this.told, results.length === 0 ? "Nothing found." : `${results.length} found.`);
      this.#found = results;
      this.#show();
    } catch (error) {
      if (!signal.aborted) fill(this.told, error instanceof Error ? error.message : String(error));
    }
  }

  /** Draw the results; again when a name becomes known. */
  #show() {
    const lines = this.#found.map((result) => this.#draw(result));
    if (lines.length > 0 || this.results.firstChild) fill(this.results, ...lines);
  }

  /** @param {{ message: Envelope<any>, snippet: string }} result */
  #draw({ message: { type, payload, meta }, snippet }) {
    const { messenger } = this;
    const { sender_id: sender = "", target_id: target = "", seq, timestamp = 0 } = meta;
    const id = target === messenger.session.userId ? sender : target;
    const name = messenger.names.title(messenger.store.conversation(id));
    const open = () => void messenger.openConversation(id, seq).catch(messenger.failed);
    const head = element(
      "span",
      {},
      element("strong", {}, element("bdi", {}, messenger.names.of(sender))),
      " in ",
      element("bdi", {}, straight(name)),
      element("time", {}, shortly(timestamp)),
    );
    return element(
      "li",
      {},
      element(
        "button",
        { type: "button", onclick: open },
        head,
        element("span", { class: "snippet", dir: "auto" }, ...(snippet ? marked(snippet) : [cardText(type, payload, messenger.names)])),
      ),
    );
  }
}

/**
 * Return a snippet's text, with the matches in `<mark>` elements. The snippet is read as text, never as markup.
 *
 * @param {string} snippet
 */
function marked(snippet) {
  return snippet.split(/<mark>(.*?)<\/mark>/s).map((part, at) => {
    const text = upright(part).replace(/&([a-z]+|#x?[\da-f]+);/gi, (whole, name) => ENTITIES[name] ?? whole);
    return at % 2 ? element("mark", {}, text) : text;
  });
}
