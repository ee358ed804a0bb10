/** The readers of a message in a group. */

import { element, openDialog } from "../dom.js";
import { avatar } from "../people/avatar.js";
import { problem } from "../problems.js";
import { words } from "../words.js";

/** @import { MessageView } from "../../sdk/index.js" */
/** @import { ConversationPane } from "./conversation.js" */

/**
 * Open the list of who has read a message, who only received it, and who did neither.
 *
 * @param {MessageView} message
 * @param {ConversationPane} pane
 */
export async function openReaders({ seq, senderId }, pane) {
  const place = element("div", { class: "readers", "aria-live": "polite" }, element("p", { class: "note" }, words.message.loading));
  openDialog(words.message.whoRead, place);
  try {
    const { members } = await pane.messaging.restApi.request("GET", `/api/groups/${encodeURIComponent(pane.id)}`);
    const others = members.map((/** @type {{ user_id: string }} */ member) => member.user_id).filter((/** @type {string} */ id) => id !== senderId);
    place.replaceChildren(...drawReaders(others, seq ?? 0, pane));
  } catch (error) {
    place.replaceChildren(element("p", { class: "failure", role: "alert" }, problem(error)));
  }
}

/** @param {string[]} userIds @param {number} seq @param {ConversationPane} pane */
function drawReaders(userIds, seq, { names, view }) {
  const { receipts } = view;
  /** @type {[heading: string, userIds: string[]][]} */
  const parts = [
    [words.message.readBy, userIds.filter((id) => (receipts[id]?.read ?? 0) >= seq)],
    [words.message.deliveredTo, userIds.filter((id) => (receipts[id]?.read ?? 0) < seq && (receipts[id]?.delivered ?? 0) >= seq)],
    [words.message.notYet, userIds.filter((id) => (receipts[id]?.read ?? 0) < seq && (receipts[id]?.delivered ?? 0) < seq)],
  ];
  return parts
    .filter(([, ids]) => ids.length > 0)
    .map(([heading, ids]) => {
      const people = ids.map((id) => {
        const name = names.of(id);
        return element("li", { class: "person" }, avatar(id, name), element("span", { class: "name" }, element("bdi", {}, name)));
      });
      return element("section", {}, element("h3", {}, heading), element("ul", {}, ...people));
    });
}
