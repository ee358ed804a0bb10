/** Slash commands in the composer: their completion, how the typed one is used, and sending it. */

import { element, fill } from "../dom.js";
import { upright } from "../format.js";
import { words } from "../words.js";

/** @import { ConversationPane } from "../conversation/conversation.js" */
/** @import { Messenger } from "../messenger.js" */

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

export class SlashCommands {
  /** @type {Command[]} */
  #commands = [];
  #loadedAt = -Infinity;

  /**
   * @param {ConversationPane} pane
   * @param {HTMLTextAreaElement} text where they are typed
   */
  constructor(pane, text) {
    this.pane = pane;
    this.text = text;
    this.usage = element("p", { class: "usage note", role: "status" });
    /** @type {import("./completion.js").Source} */
    this.source = {
      label: words.composer.commands,
      word: /^(\/\S*)$/,
      choices: (word) => this.#commands.filter(({ invoke }) => invoke.startsWith(word.toLowerCase())).map(drawCommand),
      load: () => this.#load(),
      isWhole: (word, { text }) => text.trimEnd() === word.toLowerCase(),
    };
  }

  /** Show how the command that is typed is used. */
  typed() {
    const typed = this.text.value.toLowerCase();
    const meant = /^\/\S+\s/.test(typed) ? this.#meant(typed) : undefined;
    const usage = meant ? usageOf(meant) : "";
    if (this.usage.textContent !== usage) fill(this.usage, usage); // a screen reader would read the same text again
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
    const { thread } = this.pane;
    const payload = { command: command.invoke.slice(1), ...(text && { text }), ...(thread !== undefined && { thread }) };
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
}

/** @param {Command} command @returns {import("./completion.js").Choice} */
function drawCommand({ invoke, usage, description, private: hidden }) {
  const shown = [
    element("strong", {}, invoke),
    usage && element("span", { class: "note" }, ` ${upright(usage)}`),
    element("span", { class: "what", dir: "auto" }, upright(description)),
    hidden && element("small", {}, words.composer.onlyYouSee),
  ];
  return { text: `${invoke} `, shown: [element("span", { class: "command" }, ...shown)] };
}

/** @param {Command} command */
function usageOf({ invoke, usage, description, private: hidden, arguments: listed = [] }) {
  const told = [[invoke, usage && upright(usage)].filter(Boolean).join(" "), upright(description)];
  for (const { name, description: meaning } of listed) told.push(`${upright(name)}: ${upright(meaning)}`);
  if (hidden) told.push(words.composer.onlyYouSee);
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
