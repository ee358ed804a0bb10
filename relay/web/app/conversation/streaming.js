/** The text of a message that is still being written. It grows in place: its line is not drawn anew for each piece. */

import { element } from "../dom.js";
import { upright } from "../format.js";

/** @import { MessageView } from "../../sdk/index.js" */
/** @import { ConversationPane } from "./conversation.js" */

/**
 * Tell whether a line can stay as it is, since its message only grows.
 *
 * @param {MessageView | undefined} one
 * @param {MessageView | undefined} other
 */
export function growsOn(one, other) {
  return one?.state === "streaming" && other?.state === "streaming";
}

/**
 * Draw the text so far, and add to it until the message is stored or gone.
 *
 * @param {MessageView} message
 * @param {ConversationPane} pane
 */
export function growingText({ conversation, key, payload }, { list, store }) {
  const text = document.createTextNode(upright(payload.content));
  const shown = element("p", { class: "content growing", dir: "auto", "aria-busy": "true" }, text);
  const end = store.subscribe(`message:${conversation}/${key}`, () => {
    const now = store.conversation(conversation).messages.find((one) => one.key === key);
    if (now?.state !== "streaming" || !shown.isConnected) return end();
    text.data = upright(now.payload.content);
    list.grown();
  });
  return shown;
}
