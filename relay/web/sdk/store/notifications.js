/** The notifications of a store: taken as the server lists them, and shown as one view, those to the user and those to everybody. */

import { EVERYBODY, SELF } from "./mirror.js";

/**
 * @import { ConversationView } from "./view-cache.js"
 * @import { MessageView } from "./views.js"
 * @import { Mirror } from "./mirror.js"
 * @import { Envelope, NotificationsAnswer } from "../types.js"
 */

/** @typedef {{ messages: readonly MessageView[], unread: number, hasOlder: boolean }} NotificationsView */

export class Notifications {
  /** @type {{ own: ConversationView, everybodys: ConversationView, view: NotificationsView } | null} */
  #last = null;

  /** @param {{ view: (key: string) => ConversationView, complete: ReadonlySet<string> }} state @returns {NotificationsView} */
  view(state) {
    const [own, everybodys] = [state.view(SELF), state.view(EVERYBODY)];
    if (this.#last?.own === own && this.#last.everybodys === everybodys) return this.#last.view;
    const messages = [...own.messages, ...everybodys.messages];
    messages.sort((one, other) => (one.messageId ?? Infinity) - (other.messageId ?? Infinity));
    const hasOlder = !state.complete.has(SELF) && messages.length > 0;
    const view = Object.freeze({ messages: Object.freeze(messages), unread: own.unread + everybodys.unread, hasOlder });
    this.#last = { own, everybodys, view };
    return view;
  }
}

/**
 * Take a page of notifications, and the read pointers where they were fetched.
 *
 * @param {Mirror} mirror
 * @param {NotificationsAnswer} page
 * @param {Map<string, { up_to_seq: number, unread: number }>} pointers
 */
export function takeNotifications(mirror, page, pointers) {
  for (const key of [SELF, EVERYBODY]) {
    const ofKey = (/** @type {Envelope<any>} */ { meta }) => (meta.target_id === EVERYBODY) === (key === EVERYBODY);
    mirror.load(key, page.messages.filter(ofKey), page.latest?.filter(ofKey));
    const pointer = pointers.get(key);
    const { unread, lastSeq } = mirror.conversation(key);
    if (pointer && page.has_more) {
      unread.row({ last_seq: lastSeq, read_seq: pointer.up_to_seq, unread: pointer.unread, unread_mentions: 0 });
    } else if (pointer) unread.read(pointer.up_to_seq);
  }
}
