/** Handles refused follows. Loaded when there are some. */

import { RelayError } from "../errors.js";

/** @import { SentMessage } from "../sent-message.js" */
/** @import { SocketManager } from "../socket-manager.js" */

/**
 * One unknown user makes the server refuse a whole request: halve it until each user is followed or reported.
 *
 * @param {SocketManager} socket
 * @param {SentMessage} sent
 * @param {string[]} userIds
 * @param {any} error the refusal, or null when the answer names the unknown users
 * @param {(userIds: string[]) => Promise<void>} follow
 */
export async function tellRefused(socket, sent, userIds, error, follow) {
  socket.outbox.discard(sent.id); // the application did not send it, and cannot retry it
  if (error && !(error instanceof RelayError)) return; // cancelled, as the user signs out
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
