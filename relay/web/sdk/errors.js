/**
 * What can go wrong for a user of the SDK.
 *
 *     Error
 *     ├── RelayError        the server refused one message or call, or could not be asked; the connection goes on
 *     └── ConnectionClosed  the connection is over and does not come back by itself
 *
 * Besides them: an aborted signal's reason (an `AbortError`, as of the platform), and a TypeError or RangeError for
 * an argument that can never be right.
 */

/**
 * One refusal. `code` is one of the protocol's error codes, or `offline` when nobody could be asked; `retry` says
 * whether the same thing may succeed later, `retryAfter` (seconds) when; `status` is that of the HTTP answer.
 */
export class RelayError extends Error {
  /**
   * @param {string} code
   * @param {string} message
   * @param {{retry?: boolean, retryAfter?: number, details?: Record<string, unknown>, status?: number, cause?: unknown}} [more]
   */
  constructor(code, message, more = {}) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause });
    this.name = "RelayError";
    this.code = code;
    this.retry = more.retry ?? false;
    this.retryAfter = more.retryAfter;
    this.details = more.details;
    this.status = more.status;
  }

  /**
   * Build the error of an `error` frame's payload.
   *
   * @param {Partial<import("./types.js").ErrorPayload>} payload
   */
  static fromPayload(payload) {
    const { code = "internal", message = "refused", retry = false, retry_after, details } = payload;
    return new RelayError(code, message, { retry, retryAfter: retry_after, details });
  }
}

/**
 * The connection's end for good. `code` is the WebSocket close code: 45xx says not to come back unchanged, 1000
 * that this side left.
 */
export class ConnectionClosed extends Error {
  /**
   * @param {number} code
   * @param {string} [reason]
   */
  constructor(code, reason = "") {
    super(reason ? `${code}: ${reason}` : String(code));
    this.name = "ConnectionClosed";
    this.code = code;
    this.reason = reason;
  }
}
