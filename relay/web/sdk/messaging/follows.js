/** The users that this one follows, and the callbacks with their statuses. */

import { MAX_FOLLOW } from "../protocol.js";

/** @import { AckPayload, Status } from "../types.js" */
/** @import { SocketManager } from "../socket-manager.js" */

export class Follows {
  /** @type {Map<string, Set<(status: Status) => void>>} */
  #callbacks = new Map();
  /** @type {Map<string, Status>} the last status of each user */
  #known = new Map();
  /** @type {Set<string>} */
  #followed = new Set();
  #socket;
  #ends;

  /** @param {SocketManager} socket */
  constructor(socket) {
    this.#socket = socket;
    this.#ends = [
      socket.registerHandler("status_update", ({ payload, meta }) => {
        // With a message id it is the choice that a user made, which only their own devices get: not what others see.
        if (meta.message_id === undefined && meta.sender_id) this.#tell({ ...BLANK, ...payload, user_id: meta.sender_id });
      }),
      socket.on("reset", () => {
        // The server has another database: follow anew.
        this.#followed.clear();
        this.#known.clear();
        this.#followAll([...this.#callbacks.keys()]);
      }),
    ];
  }

  /** @param {string[]} userIds @param {((status: Status) => void) | undefined} callback */
  subscribe(userIds, callback) {
    const listener = callback && ((/** @type {Status} */ status) => callback(status));
    for (const userId of userIds) {
      if (listener) this.#callbacks.set(userId, (this.#callbacks.get(userId) ?? new Set()).add(listener));
      const known = this.#known.get(userId);
      if (known) queueMicrotask(() => this.#callbacks.get(userId)?.has(/** @type {any} */ (listener)) && listener?.(known));
    }
    this.#followAll(userIds.filter((userId) => !this.#followed.has(userId)));
    return () => {
      for (const userId of userIds) {
        const listeners = this.#callbacks.get(userId);
        listeners?.delete(/** @type {any} */ (listener));
        if (listeners?.size === 0) this.#callbacks.delete(userId);
      }
    };
  }

  /** @param {string[]} userIds */
  unfollow(userIds) {
    for (const userId of userIds) {
      this.#followed.delete(userId);
      this.#known.delete(userId);
    }
    return this.#socket.sendMessage("follow", { user_ids: userIds, follow: false });
  }

  close() {
    for (const end of this.#ends) end();
  }

  /** @param {string[]} userIds */
  #followAll(userIds) {
    for (let at = 0; at < userIds.length; at += MAX_FOLLOW) void this.#follow(userIds.slice(at, at + MAX_FOLLOW));
  }

  /** @param {string[]} userIds */
  async #follow(userIds) {
    for (const userId of userIds) this.#followed.add(userId);
    const sent = this.#socket.sendMessage("follow", { user_ids: userIds, follow: true });
    /** @type {any} */
    let error = null;
    const ack = await sent.catch((fault) => ((error = fault), /** @type {Partial<AckPayload>} */ ({})));
    for (const status of /** @type {Status[]} */ (ack.statuses ?? [])) {
      // The hello may have brought the same status before the ack: do not call back twice.
      if (!isSame(this.#known.get(status.user_id), status)) this.#tell(status);
    }
    const refused = error ? userIds : /** @type {string[]} */ (ack.unknown ?? []);
    if (refused.length === 0) return;
    for (const userId of refused) this.#followed.delete(userId); // the next subscription tries again
    const { tellRefused } = await import("./refused-follows.js");
    await tellRefused(this.#socket, sent, refused, error, (some) => this.#follow(some));
  }

  /** @param {Status} status */
  #tell(status) {
    this.#known.set(status.user_id, status);
    for (const listener of [...(this.#callbacks.get(status.user_id) ?? [])]) {
      try {
        listener(status);
      } catch (fault) {
        this.#socket.report(fault);
      }
    }
  }
}

/** @param {Status | undefined} known @param {Status} status */
function isSame(known, status) {
  return known && ["status", ...Object.keys(BLANK)].every((name) => /** @type {any} */ (known)[name] == /** @type {any} */ (status)[name]);
}

const BLANK = { text: null, until: null, last_seen: null };
