/** The timeouts and bans in a group, for who manages it: each with its end, and a button that lifts it. */

import { button, element } from "../dom.js";
import { isolate, moment } from "../format.js";
import { words } from "../words.js";

/** @import { Messenger } from "../messenger.js" */

/** @typedef {{ kind: "timeout" | "ban", user_id: string, reason: string, until: number | null }} Restriction */

const texts = words.moderation;

/**
 * Draw the timeouts and bans of a group; null where there are none, or one may not see them.
 *
 * @param {Messenger} messenger
 * @param {string} groupId
 * @param {() => void} changed
 * @returns {Promise<HTMLElement | null>}
 */
export async function drawInForce(messenger, groupId, changed) {
  const path = `/api/groups/${encodeURIComponent(groupId)}`;
  const { restApi } = messenger.messaging;
  /** @type {Restriction[]} */
  const held = await restApi.request("GET", `${path}/restrictions`).then(({ restrictions }) => restrictions, () => []);
  if (held.length === 0) return null;
  const line = (/** @type {Restriction} */ { kind, user_id: userId, reason, until }) => {
    const name = messenger.names.of(userId);
    const lift = () =>
      void restApi.request("DELETE", `${path}/restrictions/${kind}/${encodeURIComponent(userId)}`).then(changed, messenger.failed);
    const told = [texts[kind].held, until === null ? texts.withoutEnd : texts.until(moment(until)), reason && isolate(reason)];
    return element(
      "li",
      { "data-user": userId },
      element("span", { class: "name" }, element("bdi", {}, name)),
      element("small", { dir: "auto" }, told.filter(Boolean).join(" · ")),
      button(texts.liftName(isolate(name)), lift, { sign: texts.lift, class: "link" }),
    );
  };
  return element("section", { class: "in-force", "aria-label": texts.inForce }, element("h3", {}, texts.inForce), element("ul", {}, ...held.map(line)));
}
