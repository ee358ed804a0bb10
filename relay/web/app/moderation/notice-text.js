/** What moderators did, as its notification says it: in the reader's language, not the server's. */

import { isolate, moment } from "../format.js";
import { words } from "../words.js";

/** @typedef {{ title: string, body?: string, data?: Record<string, any> }} Notification */

/** Return the title and the text of a notification. @param {Notification} payload @returns {[title: string, body: string | undefined]} */
export function noticeText({ title, body, data }) {
  const told = /** @type {Record<string, string | ((until: string) => string)>} */ (words.moderation.notices)[data?.moderation];
  if (told === undefined) return [title, body];
  const text = typeof told === "function" ? told(data?.until ? moment(data.until) : "") : told;
  return [text, data?.reason ? words.moderation.because(isolate(data.reason)) : undefined];
}
