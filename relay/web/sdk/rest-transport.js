/**
 * HTTP calls with a deadline and retries. A refusal is a `RelayError` with the code of its problem (RFC 9457); a call
 * without an answer is one with the code `offline`. Loaded with the first call.
 */

import { RelayError } from "./errors.js";
import { HTTP_CODES, RETRY_STATUSES } from "./protocol.js";

/** @import { TokenProvider } from "./types.js" */

/**
 * @typedef {object} Call
 * @property {Record<string, unknown>} [query] parameters; null and undefined are left out, a Date becomes a time
 * @property {unknown} [body] sent as JSON
 * @property {Record<string, string>} [headers]
 * @property {AbortSignal} [signal]
 * @property {boolean} [again] whether the call may be repeated when its outcome is not known; by default all but
 *   POST may
 * @property {boolean} [open] whether it needs no token
 */

/**
 * @typedef {object} TransportOptions
 * @property {typeof fetch} [fetch]
 * @property {number} [timeout] seconds for a call with all its tries; 30
 * @property {() => number} [random] from 0 to 1, for the pauses between tries
 */

const MAX_TRIES = 4;
const BASE_SECONDS = 0.5;

export class Transport {
  #token;
  #options;

  /**
   * @param {string} baseUrl `http(s)://`, without a slash at its end
   * @param {() => string | TokenProvider | null | undefined} token returns the current one
   * @param {TransportOptions} options
   */
  constructor(baseUrl, token, options) {
    this.baseUrl = baseUrl;
    this.#token = token;
    this.#options = options;
    this.timeout = options.timeout ?? 30;
    // The global is looked up at each call, so that a later wrapper is used. It is called as a plain function, which
    // browsers demand.
    this.fetch = /** @type {typeof fetch} */ ((input, init) => (options.fetch ?? globalThis.fetch)(input, init));
  }

  get token() {
    return this.#token();
  }

  /**
   * Make a call and return its answer: decoded JSON, null for an empty body, else text.
   *
   * @param {string} method
   * @param {string} path
   * @param {Call} [call]
   * @returns {Promise<any>}
   * @throws {RelayError} The server refused, or did not answer in time.
   */
  async json(method, path, call = {}) {
    return this.call(method, path, call, decoded);
  }

  /**
   * Return the headers that authenticate the caller.
   *
   * @param {"first" | "refused"} [reason]
   * @returns {Promise<Record<string, string>>}
   */
  async authorization(reason = "first") {
    const token = typeof this.token === "function" ? await this.token({ reason }) : this.token;
    return token ? { Authorization: `Bearer ${token}` } : {};
  }

  /**
   * Return the URL of a path with its parameters.
   *
   * @param {string} path
   * @param {Record<string, unknown>} [query]
   */
  url(path, query = {}) {
    const words = Object.entries(query).flatMap(([name, value]) => (value == null ? [] : [[name, word(value)]]));
    return this.baseUrl + path + (words.length ? (path.includes("?") ? "&" : "?") + new URLSearchParams(words) : "");
  }

  /**
   * Make a call and read its answer with `read`, which calls `alive` while bytes still arrive.
   *
   * @template Answer
   * @param {string} method
   * @param {string} path
   * @param {Call} call
   * @param {(response: Response, alive: () => void) => Promise<Answer>} read
   * @returns {Promise<Answer>}
   * @throws {RelayError} The server refused, or did not answer in time.
   */
  async call(method, path, call, read) {
    return this.guard(method, path, call.signal, (signal, alive) =>
      this.#tries(method, path, call, (response) => read(response, alive), signal),
    );
  }

  /**
   * Run an action under the deadline of a call. Each call of `alive` starts the deadline anew.
   *
   * @template Answer
   * @param {string} method
   * @param {string} path
   * @param {AbortSignal | undefined} cancelled
   * @param {(signal: AbortSignal, alive: () => void) => Promise<Answer>} action
   * @returns {Promise<Answer>}
   */
  async guard(method, path, cancelled, action) {
    cancelled?.throwIfAborted();
    const deadline = new AbortController();
    const begin = () => setTimeout(() => deadline.abort(), this.timeout * 1000);
    /** @type {ReturnType<typeof setTimeout> | null} */
    let timer = begin();
    const alive = () => {
      if (timer === null) return; // called after the end
      clearTimeout(timer);
      timer = begin();
    };
    try {
      return await action(cancelled ? AbortSignal.any([cancelled, deadline.signal]) : deadline.signal, alive);
    } catch (error) {
      cancelled?.throwIfAborted();
      if (!deadline.signal.aborted) throw error;
      throw this.offline(method, path, `no answer within ${this.timeout} s`, error);
    } finally {
      clearTimeout(timer);
      timer = null;
    }
  }

  /**
   * @template Answer
   * @param {string} method
   * @param {string} path
   * @param {Call} call
   * @param {(response: Response) => Promise<Answer>} read
   * @param {AbortSignal} signal
   */
  async #tries(method, path, call, read, signal) {
    const again = call.again ?? method !== "POST";
    /** @type {"first" | "refused"} */
    let reason = "first";
    for (let tried = 1; ; tried += 1) {
      try {
        return await this.#once(method, path, call, read, signal, reason);
      } catch (error) {
        const refusal = /** @type {RelayError} */ (error);
        if (signal.aborted || !(error instanceof RelayError)) throw error;
        if (refusal.status === 401 && reason === "first" && typeof this.token === "function") {
          reason = "refused"; // the token may have just expired: ask for another one
          continue;
        }
        if (!again || !refusal.retry || tried === MAX_TRIES) throw error;
        await pause(refusal.retryAfter ?? this.#delay(tried), signal);
      }
    }
  }

  /**
   * @template Answer
   * @param {string} method
   * @param {string} path
   * @param {Call} call
   * @param {(response: Response) => Promise<Answer>} read
   * @param {AbortSignal} signal
   * @param {"first" | "refused"} reason
   */
  async #once(method, path, call, read, signal, reason) {
    const headers = { Accept: "application/json", ...(call.open ? {} : await this.authorization(reason)), ...call.headers };
    const body = call.body === undefined ? undefined : JSON.stringify(call.body);
    if (body !== undefined) Object.assign(headers, { "Content-Type": "application/json" });
    let response;
    try {
      response = await this.fetch(this.url(path, call.query), { method, headers, body, signal, cache: "no-store" });
      if (response.ok) return await read(response);
    } catch (error) {
      if (error instanceof RelayError) throw error;
      throw this.offline(method, path, String(/** @type {any} */ (error)?.message ?? error), error);
    }
    throw await this.refusalOf(response);
  }

  /**
   * Return the error for a call without an answer.
   *
   * @param {string} method
   * @param {string} path
   * @param {string} why
   * @param {unknown} [cause]
   */
  offline(method, path, why, cause) {
    return new RelayError("offline", `${method} ${path}: ${why}`, { retry: true, cause });
  }

  /**
   * Return the error for a refusal; where the body is not a problem of relay's, the error for its status.
   *
   * @param {number} status
   * @param {string} text
   * @param {string | null} wait the header `Retry-After`
   */
  refusal(status, text, wait) {
    const problem = parsed(text);
    return new RelayError(
      problem.code ?? HTTP_CODES[status] ?? "internal",
      problem.detail ?? problem.title ?? `HTTP ${status}`,
      {
        retry: problem.retry ?? RETRY_STATUSES.includes(status),
        retryAfter: problem.retry_after ?? (wait && /^\d+$/.test(wait) ? Number(wait) : undefined),
        details: problem.details,
        status,
      },
    );
  }

  /** @param {Response} response */
  async refusalOf(response) {
    return this.refusal(response.status, await response.text().catch(() => ""), response.headers.get("Retry-After"));
  }

  /** @param {number} tried */
  #delay(tried) {
    return (this.#options.random ?? Math.random)() * BASE_SECONDS * 2 ** (tried - 1);
  }
}

/** @param {string} text */
function parsed(text) {
  try {
    const value = JSON.parse(text);
    return value && typeof value === "object" ? value : {};
  } catch {
    return {}; // a proxy's page: the status must do
  }
}

/** @param {Response} response */
async function decoded(response) {
  const text = await response.text();
  if (!text) return null;
  if (!response.headers.get("Content-Type")?.includes("json")) return text;
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new RelayError("internal", "the server's answer is no JSON", { retry: true, status: response.status, cause });
  }
}

/** @param {unknown} value */
function word(value) {
  return value instanceof Date ? String(value.getTime() / 1000) : String(value);
}

/** @param {number} seconds @param {AbortSignal} signal */
function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const end = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", end);
      resolve(undefined);
    }, seconds * 1000);
    signal.addEventListener("abort", end, { once: true });
  });
}
