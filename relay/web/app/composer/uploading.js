/** A message whose files go up, in its bubble: how far they are, and a button that stops it. */

import { button, element, icon } from "../dom.js";
import { locale, words } from "../words.js";

/** @import { MessageView } from "../../sdk/index.js" */
/** @import { ConversationPane } from "../conversation/conversation.js" */

const PERCENT = new Intl.NumberFormat(locale, { style: "percent" });

/** @param {MessageView} message @param {ConversationPane} pane */
export function drawUploading({ id, progress }, pane) {
  const cancel = () => void pane.messaging.discardMessage(id ?? "").catch(pane.failed);
  return element(
    "div",
    { class: "uploading" },
    element("progress", { max: 1, value: progress ?? 0, "aria-label": words.composer.uploading }),
    element("span", { class: "note" }, PERCENT.format(progress ?? 0)),
    button(words.composer.cancelUpload, cancel, { sign: icon("close"), class: "quiet" }),
  );
}
