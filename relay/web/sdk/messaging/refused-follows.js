/** What becomes of users that cannot be followed; loaded when there are some. */

import { RelayError } from "../errors.js";

/** @import { SentMessage } from "../sent-message.js" */
/** @import { SocketManager } from "../socket-manager.js" */

/**
 * Follow those of a refused request that can be followed, as one that is unknown spoils all, and tell of each other one.
 *
 * @param {SocketManager} socket
 * @param {SentMessage} sent
 * @param {string[]} userIds
 * @param {any} error the refusal, or null when the answer names those that are unknown
 * @param {(userIds: string[]) => Promise<void>} follow
 */
export async function tellRefused(socket, sent, userIds, error, follow) {
  socket.outbox.discard(sent.id); // nobody else knows of it
  if (error && !(error instanceof RelayError)) return; // forgotten, as somebody signs out
  if (error && !error.retry && userIds.length > 1) {
    const half = Math.ceil(userIds.length / 2);
    await follow(userIds.slice(0, half));
    return follow(userIds.slice(half));
  }
  const { code = "not_found", message = "there is no such user", retry = false } = error ?? {};
  for (const userId of userIds) {
    socket.report(new RelayError(code, `'${userId}' cannot be followed: ${message}`, { retry, details: { user_id: userId } }));
  }
}
