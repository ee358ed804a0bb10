/** Places above the list of conversations, such as the threads: each a line with what is unread there. */

import { Registry } from "../registry.js";

/** @import { Store } from "../../sdk/index.js" */
/** @import { Messenger } from "../messenger.js" */

/**
 * @typedef {object} SidebarPlace
 * @property {string} key
 * @property {number} order
 * @property {() => string} label
 * @property {string} icon the id of an icon
 * @property {(store: Store) => number} [count] what is unread there
 * @property {(messenger: Messenger) => boolean} [shown] by default it always is
 * @property {(messenger: Messenger) => void} press
 */

/** @type {Registry<SidebarPlace>} */
const PLACES = new Registry();

/** Add a place. @param {SidebarPlace} place */
export function addPlace(place) {
  PLACES.add(place);
}

/** Return the places that there are now. @param {Messenger} messenger */
export function places(messenger) {
  return PLACES.all.filter(({ shown }) => shown?.(messenger) ?? true);
}
