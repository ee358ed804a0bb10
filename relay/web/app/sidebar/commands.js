/** Commands of the whole page: the switcher finds them, and the user's own menu has those with a place in it. */

import { Registry } from "../registry.js";

/** @import { Messenger } from "../messenger.js" */

/**
 * @typedef {object} PageCommand
 * @property {string} key
 * @property {() => string} label
 * @property {string} [icon] the id of an icon
 * @property {() => string} [words] other words that find it in the switcher
 * @property {string} [hint] the keys that do the same
 * @property {number} [menu] its place in the own menu; not there without one
 * @property {boolean} [danger]
 * @property {(messenger: Messenger) => boolean} [shown] by default it always is
 * @property {(messenger: Messenger) => void} press
 */

/** @type {Registry<PageCommand>} */
const COMMANDS = new Registry();

/** Add a command of the page. @param {PageCommand} command */
export function addCommand(command) {
  COMMANDS.add(command);
}

/** Return the commands that there are now. @param {Messenger} messenger */
export function commands(messenger) {
  return COMMANDS.all.filter(({ shown }) => shown?.(messenger) ?? true);
}

/** Return the commands of the own menu, in their order. @param {Messenger} messenger */
export function menuCommands(messenger) {
  return commands(messenger)
    .filter(({ menu }) => menu !== undefined)
    .sort((one, other) => Number(one.menu) - Number(other.menu));
}
