/**
 * The errors of the SDK.
 *
 *     Error
 *     ├── RelayError        the server refused one message or call, or could not be reached; the connection goes on
 *     └── ConnectionClosed  the connection is closed, and the SDK does not reconnect
 *
 * Besides them: the reason of an aborted signal (an `AbortError` by default), and a TypeError or RangeError for an argument
 * that can never be right.
 */

/**
 * A refusal. `code` is one of the protocol's error codes, or `offline` when the server could not be reached. `retry` tells
 * whether the same request may succeed later, `retryAfter` after how many seconds. `status` is the HTTP status.
 */
export class RelayError extends Error {
  /**
   * @param {string} code
   * @param {string} message
   * @param {{retry?: boolean, retryAfter?: number, details?: Record<string, unknown>, status?: number, cause?: unknown}} [more]
   */
  constructor(code, message, more = {}) {
    super(message, more);
    this.name = "RelayError";
    this.code = code;
    this.retry = more.retry ?? false;
    this.retryAfter = more.retryAfter;
    this.details = more.details;
    this.status = more.status;
  }

  /**
   * Return the error for the payload of an `error` frame.
   *
   * @param {Partial<import("./types.js").ErrorPayload>} payload
   */
  static fromPayload(payload) {
    const { code = "internal", message = "refused", retry = false, retry_after, details } = payload;
    return new RelayError(code, message, { retry, retryAfter: retry_after, details });
  }
}

/**
 * The final end of the connection. `code` is the WebSocket close code: 45xx says not to come back unchanged, 1000 that
 * this client left.
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
