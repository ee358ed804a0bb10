/** People and groups by what is typed of their names: at once those that are known here, then those of the directory. */

import { straight } from "../format.js";
import { rank } from "./matching.js";

/** @import { Messenger } from "../messenger.js" */
/** @import { FoundPlace } from "./found.js" */

const ASKED = 8;

/**
 * Return the conversations whose names are meant, the best first, else the latest first. With nothing typed, all of them.
 *
 * @param {Messenger} messenger
 * @param {string} typed
 * @param {number} [worst] the worst rank that is taken
 * @returns {FoundPlace[]}
 */
export function knownPlaces({ store, names }, typed, worst = 2) {
  return store.conversations
    .map((summary) => ({ id: summary.target, name: names.title(summary), group: summary.kind === "group" }))
    .map((place, at) => ({ place, at, rank: typed ? rank(typed, place.name, ...(place.group ? [] : [place.id])) : 0 }))
    .filter((one) => one.rank <= worst)
    .sort((one, other) => one.rank - other.rank || one.at - other.at)
    .map(({ place }) => place);
}

/**
 * Return people of the server's directory, without those known already; nobody where it is out of reach.
 *
 * @param {Messenger} messenger
 * @param {string} typed
 * @param {readonly FoundPlace[]} known
 * @param {AbortSignal} signal
 * @returns {Promise<FoundPlace[]>}
 */
export async function peopleCalled({ messaging, names }, typed, known, signal) {
  const there = new Set(known.map(({ id }) => id));
  try {
    const { users } = await messaging.restApi.findUsers(typed, { limit: ASKED }, { signal });
    for (const { user_id, display_name } of users) names.learn(user_id, display_name);
    return users
      .filter(({ user_id }) => !there.has(user_id))
      .map(({ user_id, display_name }) => ({ id: user_id, name: straight(display_name), group: false }));
  } catch {
    return []; // what is known here is shown all the same
  }
}
