/**
 * Addresses within the page: of a conversation, `#/CONVERSATION`, of one of its messages, `#/CONVERSATION/SEQ`, and of a thread
 * in it, `#/CONVERSATION/thread/ROOT`, or of one of its replies, `#/CONVERSATION/thread/ROOT/SEQ`.
 */

import { button, element, openDialog } from "./dom.js";
import { BASE } from "./session.js";
import { words } from "./words.js";

/**
 * Return the address of a conversation or a message, as a link has it.
 *
 * @param {string} id
 * @param {number | null} [seq] the message's number in its conversation
 */
export function hashOf(id, seq) {
  return `#/${encodeURIComponent(id)}${seq ? `/${seq}` : ""}`;
}

/**
 * Return what an address names; the id is empty for none.
 *
 * @param {string} hash
 * @returns {{ id: string, seq: number | null, thread: number | null, reply: number | null }} reply: the seq of one in the thread
 */
export function readHash(hash) {
  const [, id, seq, thread, reply] = hash.match(/^#\/([^/]+)(?:\/(\d{1,15})|\/thread\/(\d{1,15})(?:\/(\d{1,15}))?)?$/) ?? [];
  const number = (/** @type {string | undefined} */ text) => (text ? Number(text) : null);
  try {
    return { id: decodeURIComponent(id ?? ""), seq: number(seq), thread: number(thread), reply: number(reply) };
  } catch {
    return { id: "", seq: null, thread: null, reply: null }; // a broken link
  }
}

/**
 * Return the address of a thread.
 *
 * @param {string} id the conversation's
 * @param {number} rootId the message_id of its root
 * @param {number} [reply] the seq of one of its replies
 */
export function hashOfThread(id, rootId, reply) {
  return `${hashOf(id)}/thread/${rootId}${reply ? `/${reply}` : ""}`;
}

/**
 * Copy the link of a message. Where the page may not write the clipboard, it is shown to be copied by hand.
 *
 * @param {{ conversation: string, seq: number | null }} message one that is stored
 * @param {{ notices: { say: (title: string) => void } }} messenger
 */
export async function copyLink({ conversation, seq }, { notices }) {
  const link = `${BASE}/${hashOf(conversation, seq)}`;
  try {
    await navigator.clipboard.writeText(link);
    notices.say(words.conversation.linkCopied);
  } catch {
    const shown = element("input", { value: link, readonly: true, "aria-label": words.conversation.link });
    const dialog = openDialog(words.conversation.link, element("p", {}, shown), element("p", { class: "choice" }, button(words.common.close, () => dialog.close())));
    shown.select();
  }
}
