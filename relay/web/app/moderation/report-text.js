/** A report in one line: for the list of conversations, and for quotes. */

import { isolate } from "../format.js";
import { words } from "../words.js";

/** @import { Names } from "../names.js" */

const texts = words.moderation;

/** @param {Readonly<Record<string, any>>} payload @param {Names} names */
export function reportText({ message, reason }, names) {
  if (!message) return texts.reportGone;
  return texts.reportLine(isolate(names.of(message.sender_id)), reasonText(reason));
}

/** Return why a message was reported, in words. @param {string} reason */
export function reasonText(reason) {
  return /** @type {Record<string, string>} */ (texts.reasons)[reason] ?? reason;
}
