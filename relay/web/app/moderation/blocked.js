/** Whom this user blocks for themself: their messages in groups are folded, and nothing of theirs calls for attention. */

import { ask, button, element, fill } from "../dom.js";
import { isolate } from "../format.js";
import { avatar } from "../people/avatar.js";
import { loaded } from "../settings/parts.js";
import { words } from "../words.js";

/** @import { Messenger } from "../messenger.js" */

const texts = words.moderation;

export class Blocked {
  /** @type {Set<string>} */
  #ids = new Set();
  /** Messages that were unfolded, by their keys. @type {Set<string>} */
  #shown = new Set();
  /** @type {() => void} */
  #end;

  /** @param {Messenger} messenger */
  constructor(messenger) {
    this.messenger = messenger;
    const { store } = messenger;
    this.#end = store.subscribe("connection", () => store.connection.state === "connected" && void this.renew());
  }

  /** Tell whether somebody is blocked. @param {string} userId */
  has(userId) {
    return this.#ids.has(userId);
  }

  /** Tell whether a message is folded. @param {{ key: string, senderId: string, mine: boolean }} message */
  folds({ key, senderId, mine }) {
    return !mine && this.#ids.has(senderId) && !this.#shown.has(key);
  }

  /** Show a message all the same. @param {string} key */
  unfold(key) {
    this.#shown.add(key);
    this.messenger.names.redraw();
  }

  async renew() {
    try {
      this.#take(await this.list());
    } catch {
      // without the server what is known stays; an older server has no blocks
    }
  }

  /** @returns {Promise<{ user_id: string }[]>} */
  async list() {
    return (await this.messenger.messaging.restApi.request("GET", "/api/users/me/blocked")).blocked;
  }

  /** Block somebody, if the user means it. @param {string} userId @returns {Promise<boolean>} */
  async block(userId) {
    const name = isolate(this.messenger.names.of(userId));
    if (!(await ask(texts.blockQuestion(name), texts.block, texts.blockWhy))) return false;
    return this.#change("PUT", userId);
  }

  /** @param {string} userId @returns {Promise<boolean>} */
  unblock(userId) {
    return this.#change("DELETE", userId);
  }

  close() {
    this.#end();
  }

  /** @param {"PUT" | "DELETE"} method @param {string} userId */
  async #change(method, userId) {
    try {
      await this.messenger.messaging.restApi.request(method, `/api/users/${encodeURIComponent(userId)}/block`);
      this.#take(await this.list());
      return true;
    } catch (error) {
      this.messenger.failed(error);
      return false;
    }
  }

  /** @param {{ user_id: string }[]} listed */
  #take(listed) {
    const ids = new Set(listed.map(({ user_id: id }) => id));
    const same = ids.size === this.#ids.size && [...ids].every((id) => this.#ids.has(id));
    this.#ids = ids;
    if (!same) this.messenger.names.redraw();
  }
}

/** Draw the list of blocked people, for the settings. @param {Messenger} messenger */
export function blockList(messenger) {
  return loaded(
    () => messenger.blocked.list(),
    (listed, again) => {
      if (listed.length === 0) return element("p", { class: "note" }, texts.nobodyBlocked);
      const line = (/** @type {{ user_id: string }} */ { user_id: id }) => {
        const name = messenger.names.of(id);
        const undo = button(texts.unblockName(isolate(name)), () => void messenger.blocked.unblock(id).then(again), { sign: texts.unblock, class: "link" });
        return element("li", {}, avatar(id, name), element("span", { class: "name" }, element("bdi", {}, name)), undo);
      };
      return element("ul", { class: "blocked-people", "aria-label": texts.blockedPeople }, ...listed.map(line));
    },
  );
}

/**
 * Draw a message of a blocked person, folded.
 *
 * @param {{ key: string }} message
 * @param {Messenger} messenger
 */
export function foldedMessage({ key }, messenger) {
  const show = button(texts.showFolded, () => messenger.blocked.unfold(key), { class: "link" });
  const node = element("p", { class: "deleted folded" });
  fill(node, `${texts.folded} `, show);
  return node;
}
