/** Who may see one's status, and add one to groups; whether others learn what one has read. */

import { element } from "../dom.js";
import { blockList } from "../moderation/blocked.js";
import { words } from "../words.js";
import { Saving, loaded, row, select, toggle } from "./parts.js";

/** @import { Messenger } from "../messenger.js" */
/** @import { Me, MeChanges } from "../../sdk/types.js" */

const texts = words.settings.privacy;

/** @param {Messenger} messenger */
export function draw(messenger) {
  const place = loaded(
    () => messenger.store.refreshMe(),
    (me) => [
      choice(messenger, me, "presence_to", texts.presence, texts.presenceHint, texts.shared),
      choice(messenger, me, "groups_from", texts.groups, texts.groupsHint, texts.groupsShared),
      receipts(messenger, me),
    ],
  );
  const blocked = element("section", {}, element("h4", {}, words.moderation.blockedPeople), element("p", { class: "note" }, words.moderation.blockWhy), blockList(messenger));
  return [element("p", { class: "intro" }, texts.intro), place, blocked];
}

/**
 * @param {Messenger} messenger
 * @param {Me} me
 * @param {"presence_to" | "groups_from"} name
 * @param {string} label
 * @param {string} hint
 * @param {string} shared
 */
function choice(messenger, me, name, label, hint, shared) {
  const saving = new Saving();
  let kept = me[name];
  const node = select({ everyone: texts.everyone, shared, nobody: texts.nobody }, kept, async (chosen) => {
    const change = /** @type {MeChanges} */ ({ [name]: chosen });
    if (await saving.keep(() => update(messenger, change))) kept = /** @type {Me["presence_to"]} */ (chosen);
    else node.value = kept;
  });
  return row(label, node, { hint, saving });
}

/** @param {Messenger} messenger @param {Me} me */
function receipts(messenger, me) {
  const saving = new Saving();
  const node = toggle(texts.receipts, me.receipts, {
    hint: texts.receiptsHint,
    saving,
    changed: async (on) => {
      if (await saving.keep(() => update(messenger, { receipts: on }))) return;
      const input = node.querySelector("input");
      if (input) input.checked = !on;
    },
  });
  return node;
}

/** @param {Messenger} messenger @param {MeChanges} change */
async function update(messenger, change) {
  await messenger.messaging.restApi.updateMe(change);
  await messenger.store.refreshMe();
}
