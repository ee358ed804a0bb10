/** The dialog that puts somebody into a timeout or bans them: for how long, and why. */

import { button, element, field, fill, openDialog } from "../dom.js";
import { isolate } from "../format.js";
import { problem } from "../problems.js";
import { select } from "../settings/parts.js";
import { words } from "../words.js";

/** @import { Messenger } from "../messenger.js" */

const texts = words.moderation;
/** By value: seconds; 0 for no end. */
const LASTING = /** @type {const} */ ({ timeout: [600, 3600, 86_400, 604_800, 2_592_000], ban: [0, 86_400, 604_800, 2_592_000] });
const LONGEST_REASON = 500;

/**
 * Open the dialog; resolves to whether it was done.
 *
 * @param {Messenger} messenger
 * @param {"timeout" | "ban"} kind
 * @param {string} userId
 * @param {{ id: string, name: string } | null} group null for the whole server
 * @returns {Promise<boolean>}
 */
export function openRestrict(messenger, kind, userId, group) {
  return new Promise((resolve) => {
    let done = false;
    const name = isolate(messenger.names.of(userId));
    const told = texts[kind];
    const options = Object.fromEntries(LASTING[kind].map((seconds) => [String(seconds), texts.lasting[seconds]]));
    const lasting = select(options, String(LASTING[kind][kind === "timeout" ? 1 : 0]));
    const reason = element("textarea", { rows: 2, maxlength: LONGEST_REASON, dir: "auto", placeholder: texts.reasonHint });
    const failure = element("p", { class: "failure", role: "alert" });
    const act = async () => {
      const seconds = Number(lasting.value);
      const body = { reason: reason.value.trim(), ...(seconds > 0 && { seconds }) };
      const where = group ? `/api/groups/${encodeURIComponent(group.id)}` : "/api/admin";
      yes.disabled = true;
      try {
        await messenger.messaging.restApi.request("PUT", `${where}/restrictions/${kind}/${encodeURIComponent(userId)}`, { body });
        done = true;
        dialog.close();
      } catch (error) {
        yes.disabled = false;
        fill(failure, problem(error));
      }
    };
    const yes = button(told.yes, () => void act(), { class: "danger" });
    const dialog = openDialog(
      group ? told.inGroup(name, isolate(group.name)) : told.onServer(name),
      element("p", {}, group ? told.whyInGroup : told.whyOnServer),
      field(texts.howLong, lasting),
      field(texts.why, reason),
      failure,
      element("p", { class: "choice" }, button(words.common.cancel, () => dialog.close()), yes),
    );
    dialog.classList.add("restrict");
    dialog.addEventListener("close", () => resolve(done));
  });
}
