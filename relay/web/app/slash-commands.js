/** Slash commands in the composer: a list of them while one is typed, how the typed one is used, and sending it. */

import { element, fill } from "./dom.js";
import { upright } from "./format.js";

/** @import { ConversationPane } from "./conversation.js" */
/** @import { Messenger } from "./messenger.js" */

/**
 * @typedef {object} Command a row of `GET /api/commands`
 * @property {string} name
 * @property {string} invoke what to type
 * @property {string} description
 * @property {boolean} private
 * @property {string} [bot]
 * @property {string} [plugin]
 * @property {string} [usage]
 * @property {{ name: string, description: string }[]} [arguments]
 */

const FRESH_MS = 60_000;
const MOST = 200;
const LIST = "slash-commands";

export class SlashCommands {
  /** @type {Command[]} */
  #commands = [];
  /** @type {Command[]} */
  #shown = [];
  #active = 0;
  #loadedAt = -Infinity;
  #dismissed = false;

  /**
   * @param {ConversationPane} pane
   * @param {HTMLTextAreaElement} text where they are typed
   */
  constructor(pane, text) {
    this.pane = pane;
    this.text = text;
    this.list = element("ul", { role: "listbox", id: LIST, "aria-label": "Commands", hidden: true });
    this.usage = element("p", { class: "usage note", role: "status" });
    this.node = element("div", { class: "commands" }, this.list, this.usage);
  }

  /** Show what fits the text as it is now. */
  typed() {
    const isCommand = this.text.value.startsWith("/");
    if (!isCommand) this.#dismissed = false;
    this.#draw();
    if (isCommand) void this.#load().then(() => this.#draw());
  }

  /**
   * Take a key while the list is open; tells whether it did.
   *
   * @param {KeyboardEvent} event
   */
  key({ key, shiftKey }) {
    if (this.#shown.length === 0) return false;
    const chosen = this.#shown[this.#active];
    if (key === "ArrowDown" || key === "ArrowUp") this.#move(key === "ArrowDown" ? 1 : -1);
    else if (key === "Escape") (this.#dismissed = true), this.#draw();
    else if (key === "Tab" && !shiftKey) this.#take(chosen);
    else if (key === "Enter" && !shiftKey && this.text.value.trim() !== chosen.invoke) this.#take(chosen);
    else return false;
    return true;
  }

  /**
   * Send a text that is a command as one; tells whether it is.
   *
   * @param {string} content
   */
  send(content) {
    const command = this.#meant(content);
    if (!command) return false;
    const text = content.slice(command.invoke.length).trim();
    const payload = { command: command.invoke.slice(1), ...(text && { text }) };
    this.pane.attend(this.pane.messaging.socketManager.sendMessage("slash_command", payload, this.pane.id));
    return true;
  }

  /** Load the commands, where they are not known or not fresh; none where the server has none. */
  async #load() {
    if (Date.now() - this.#loadedAt < FRESH_MS) return;
    this.#loadedAt = Date.now();
    const query = { target_id: this.pane.id, limit: MOST };
    try {
      this.#commands = (await this.pane.messaging.restApi.request("GET", "/api/commands", { query })).commands;
    } catch {
      this.#commands = []; // the plugin is off, or there is no network: the text is sent as one
    }
  }

  /** @param {string} content @returns {Command | undefined} */
  #meant(content) {
    const word = content.toLowerCase().split(/\s/, 1)[0];
    return this.#commands.find(({ invoke }) => invoke === word);
  }

  #draw() {
    const typed = this.text.value.toLowerCase();
    const begins = /^\/\S*$/.test(typed) && !this.#dismissed;
    const active = this.#shown[this.#active]?.invoke;
    this.#shown = begins ? this.#commands.filter(({ invoke }) => invoke.startsWith(typed)) : [];
    this.#active = Math.max(0, this.#shown.findIndex(({ invoke }) => invoke === active));
    fill(this.list, ...this.#shown.map((command, place) => this.#drawCommand(command, place)));
    const open = this.#shown.length > 0;
    this.list.hidden = !open;
    const roles = { role: "combobox", "aria-expanded": "true", "aria-controls": LIST, "aria-autocomplete": "list" };
    for (const [name, value] of Object.entries(roles)) {
      if (open) this.text.setAttribute(name, value);
      else this.text.removeAttribute(name);
    }
    this.#mark();
    const meant = /^\/\S+\s/.test(typed) ? this.#meant(typed) : undefined;
    const usage = meant ? usageOf(meant) : "";
    if (this.usage.textContent !== usage) fill(this.usage, usage); // a screen reader would read the same text again
  }

  /** @param {Command} command @param {number} place */
  #drawCommand(command, place) {
    const { invoke, usage, description } = command;
    // `mousedown` would take the focus away from the text.
    const hold = (/** @type {Event} */ event) => event.preventDefault();
    return element(
      "li",
      { role: "option", id: `${LIST}-${place}`, onmousedown: hold, onclick: () => this.#take(command) },
      element("strong", {}, invoke),
      usage && element("span", { class: "note" }, ` ${upright(usage)}`),
      element("span", { class: "what", dir: "auto" }, upright(description)),
      command.private && element("small", {}, "Only you see the answer"),
    );
  }

  /** @param {number} step */
  #move(step) {
    this.#active = (this.#active + step + this.#shown.length) % this.#shown.length;
    this.#mark();
  }

  /** Mark the active command, for the eyes and for screen readers. */
  #mark() {
    [...this.list.children].forEach((row, place) => row.setAttribute("aria-selected", String(place === this.#active)));
    const row = this.list.children[this.#active];
    if (row) this.text.setAttribute("aria-activedescendant", row.id);
    else this.text.removeAttribute("aria-activedescendant");
    row?.scrollIntoView({ block: "nearest" });
  }

  /** @param {Command} command */
  #take({ invoke }) {
    this.text.value = `${invoke} `;
    this.text.focus();
    this.#draw();
  }
}

/** @param {Command} command */
function usageOf({ invoke, usage, description, private: hidden, arguments: listed = [] }) {
  const told = [[invoke, usage && upright(usage)].filter(Boolean).join(" "), upright(description)];
  for (const { name, description: meaning } of listed) told.push(`${upright(name)}: ${upright(meaning)}`);
  if (hidden) told.push("Only you see the answer");
  return told.join(" · ");
}

/**
 * Show private answers, and why there is none, as notices.
 *
 * @param {Messenger} messenger
 * @returns {() => void}
 */
export function tellAnswers({ socket, notices }) {
  const ends = [
    socket.registerHandler("slash_notice", ({ payload }) => notices.say(`/${payload.command}`, String(payload.message))),
    socket.registerHandler("slash_response", ({ payload }, { replay }) => {
      if (!replay && payload.private) notices.say(`/${payload.command}`, String(payload.content));
    }),
  ];
  return () => ends.forEach((end) => end());
}
