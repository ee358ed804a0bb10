/** A message is reported to the moderators of the server, or removed by who manages the group; both from its menu. */

import { button, element, field, fill, openDialog } from "../dom.js";
import { addMessageAction } from "../conversation/message-actions.js";
import { isolate } from "../format.js";
import { problem } from "../problems.js";
import { radios, toggle } from "../settings/parts.js";
import { gist, isTalk } from "../texts.js";
import { words } from "../words.js";

/** @import { MessageView } from "../../sdk/index.js" */
/** @import { Messenger } from "../messenger.js" */

const texts = words.moderation;
const LONGEST_TEXT = 2000;
const LONGEST_REASON = 500;

addMessageAction({
  key: "report",
  order: 800,
  icon: "warning",
  label: texts.report,
  shown: (message) => !message.mine && message.messageId !== null && message.deletedAt === null && message.state !== "streaming" && isTalk(message),
  press: (message, pane) => openReport(pane.messenger, message, pane.isGroup),
});

/** @param {Messenger} messenger @param {MessageView} message @param {boolean} inGroup */
function openReport(messenger, message, inGroup) {
  let reason = "abuse";
  let tell = true;
  const { names } = messenger;
  const about = element("textarea", { rows: 3, maxlength: LONGEST_TEXT, dir: "auto" });
  const failure = element("p", { class: "failure", role: "alert" });
  const send = async () => {
    yes.disabled = true;
    try {
      const body = { reason, text: about.value.trim(), tell };
      await messenger.messaging.restApi.request("POST", `/api/messages/${message.messageId}/report`, { body });
      dialog.close();
      messenger.notices.say(texts.reported, texts.reportedWhy);
    } catch (error) {
      yes.disabled = false;
      fill(failure, problem(error));
    }
  };
  const yes = button(texts.send, () => void send(), { class: "danger" });
  const dialog = openDialog(
    texts.reportTitle(isolate(names.of(message.senderId))),
    element(
      "div",
      {},
      element("blockquote", { class: "reported", dir: "auto" }, gist(message, names)),
      element("p", { class: "note" }, inGroup ? texts.givenAway : texts.givenAwayPrivate),
      radios(texts.whatIsWrong, texts.reasons, reason, (chosen) => (reason = chosen)),
      field(texts.tellMore, about),
      toggle(texts.tellMe, tell, { changed: (on) => (tell = on) }),
      failure,
      element("p", { class: "choice" }, button(words.common.cancel, () => dialog.close()), yes),
    ),
  );
  dialog.classList.add("report-dialog");
}

/**
 * Remove somebody else's message, if the user means it; its author is told why.
 *
 * @param {Messenger} messenger
 * @param {string} path of the call that removes it
 * @returns {Promise<boolean>}
 */
export function openRemoval(messenger, path) {
  return new Promise((resolve) => {
    let done = false;
    const reason = element("textarea", { rows: 2, maxlength: LONGEST_REASON, dir: "auto", placeholder: texts.reasonHint });
    const failure = element("p", { class: "failure", role: "alert" });
    const act = async () => {
      yes.disabled = true;
      try {
        await messenger.messaging.restApi.request("POST", path, { body: { reason: reason.value.trim() } });
        done = true;
        dialog.close();
      } catch (error) {
        yes.disabled = false;
        fill(failure, problem(error));
      }
    };
    const yes = button(texts.remove, () => void act(), { class: "danger" });
    const dialog = openDialog(
      texts.removeQuestion,
      element("p", {}, texts.removeWhy),
      field(texts.why, reason),
      failure,
      element("p", { class: "choice" }, button(words.common.cancel, () => dialog.close()), yes),
    );
    dialog.classList.add("removal");
    dialog.addEventListener("close", () => resolve(done));
  });
}
