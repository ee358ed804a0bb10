/**
 * A client of the REST API, with one method for each call. Bodies, queries and answers have the names of docs/rest.md;
 * parts of a path are arguments of their own.
 */

import { httpAddress } from "./address.js";
import { check } from "./checks.js";
import { RelayError } from "./errors.js";

/** Loaded with the first file: most programs never send one. */
const attachments = () => import("./attachments.js");

/**
 * @import * as Types from "./types.js"
 * @import { Call, TransportOptions } from "./rest-transport.js"
 * @import { DownloadOptions, UploadOptions, Uploadable } from "./attachments.js"
 * @typedef {{ signal?: AbortSignal }} Options
 */

export class RestApiClient {
  #token;
  #options;
  /** @type {Promise<import("./rest-transport.js").Transport> | null} */
  #transport = null;

  /**
   * @param {string} baseUrl `http(s)://` or `ws(s)://` with any path prefix; empty for the page's own origin
   * @param {string | Types.TokenProvider | null} [authToken] a token, or a function that returns one; none for a login
   * @param {TransportOptions} [options]
   */
  constructor(baseUrl, authToken = null, options = {}) {
    check({ options }, { authToken, ...options });
    this.baseUrl = httpAddress(baseUrl);
    this.#token = authToken;
    this.#options = options;
  }

  /** The token, or the function that returns one. A new one counts from the next call on. */
  get authToken() {
    return this.#token ?? null;
  }

  set authToken(token) {
    check({}, { authToken: token });
    this.#token = token;
  }

  /**
   * Make any call, for example to a plugin, and return its decoded answer.
   *
   * @param {string} method
   * @param {string} path such as `/api/users/me`
   * @param {Call} [call]
   * @returns {Promise<any>}
   * @throws {RelayError} The server refused, or (code `offline`) did not answer.
   */
  request(method, path, call) {
    check({ method, path }, { call, ...call, query: call?.query });
    return this.#loaded().then((transport) => transport.json(method, path, call));
  }

  // ---- accounts

  /**
   * Exchange a password for a token. This client uses it from then on.
   *
   * @param {{ user_id: string, password: string, client_id?: string, code?: string }} body code: of the second factor, where the
   *   account has one
   * @param {Options} [options]
   * @returns {Promise<Types.Login>}
   */
  login(body, options) {
    return this.#enter("/api/login", body, options);
  }

  /**
   * Create an account and log it in, as `login` does.
   *
   * @param {{ user_id: string, password: string, invite?: string, display_name?: string, client_id?: string }} body
   * @param {Options} [options]
   * @returns {Promise<Types.Login>}
   */
  register(body, options) {
    return this.#enter("/api/register", body, options);
  }

  /**
   * Revoke the token, and forget it unless a function gives tokens.
   *
   * @param {Options} [options]
   * @returns {Promise<null>}
   */
  async logout(options) {
    const answer = await this.request("POST", "/api/logout", { again: true, ...options });
    if (typeof this.authToken === "string") this.authToken = null;
    return answer;
  }

  /** @param {Options} [options] @returns {Promise<Types.Me>} */
  getMe(options) {
    return this.request("GET", "/api/users/me", options);
  }

  /** @param {Types.MeChanges} body @param {Options} [options] @returns {Promise<Types.Me>} */
  updateMe(body, options) {
    return this.#put("PATCH", "/api/users/me", body, options);
  }

  /**
   * @param {Types.ListQuery} [query]
   * @param {Options} [options]
   * @returns {Promise<{ devices: Types.Device[], has_more: boolean, next_cursor: string | null }>}
   */
  getDevices(query, options) {
    return this.#get("/api/devices", query, options);
  }

  /** @param {string} clientId @param {Options} [options] @returns {Promise<null>} */
  revokeDevice(clientId, options) {
    check({ clientId });
    // In the query, because a device's id may have characters that a path cannot.
    return this.request("DELETE", "/api/devices", { query: { client_id: clientId }, ...options });
  }

  // ---- people

  /**
   * Search the directory by a part of a user id or display name; without one it lists everybody.
   *
   * @param {string} [q]
   * @param {Types.ListQuery} [query]
   * @param {Options} [options]
   * @returns {Promise<{ users: Types.User[], has_more: boolean, next_cursor: string | null }>}
   */
  findUsers(q, query, options) {
    return this.#get("/api/users", { q: q || undefined, ...query }, options);
  }

  /** @param {string} userId @param {Options} [options] @returns {Promise<Types.User>} */
  getUser(userId, options) {
    return this.request("GET", path("users/{userId}", userId), options);
  }

  /** @param {string} userId @param {Options} [options] @returns {Promise<Types.Status>} */
  getStatus(userId, options) {
    return this.request("GET", path("users/{userId}/status", userId), options);
  }

  /** @param {Options} [options] @returns {Promise<{ statuses: Types.Status[] }>} */
  getFollowingStatus(options) {
    return this.request("GET", "/api/users/following/status", options);
  }

  /** @param {string} userId @param {Options} [options] @returns {Promise<null>} */
  follow(userId, options) {
    return this.request("PUT", path("users/following/{userId}", userId), options);
  }

  /** @param {string} userId @param {Options} [options] @returns {Promise<null>} */
  unfollow(userId, options) {
    return this.request("DELETE", path("users/following/{userId}", userId), options);
  }

  // ---- messages

  /**
   * Send an envelope without a socket. With a `meta.id` it is stored once, however often it is sent.
   *
   * @param {{ type: string, payload: object, meta: Types.Meta }} envelope
   * @param {Options} [options]
   * @returns {Promise<Types.AckPayload>}
   */
  sendMessage(envelope, options) {
    check({ envelope });
    return this.#put("POST", "/api/messages", envelope, { again: envelope.meta?.id !== undefined, ...options });
  }

  /**
   * @param {string} userId
   * @param {Types.Pagination} [pagination]
   * @param {Options} [options]
   * @returns {Promise<Types.HistoryAnswer>}
   */
  getUserMessages(userId, pagination, options) {
    return this.#get(path("messages/user/{userId}", userId), pagination, options);
  }

  /**
   * @param {string} groupId
   * @param {Types.Pagination} [pagination]
   * @param {Options} [options]
   * @returns {Promise<Types.HistoryAnswer>}
   */
  getGroupMessages(groupId, pagination, options) {
    return this.#get(path("messages/group/{groupId}", groupId), pagination, options);
  }

  /** @param {Types.ListQuery} [query] @param {Options} [options] @returns {Promise<Types.UndeliveredAnswer>} */
  getUndelivered(query, options) {
    return this.#get("/api/messages/undelivered", query, options);
  }

  /**
   * Count everything up to a cursor of `getUndelivered` as delivered.
   *
   * @param {{ cursor: number, client_id?: string }} body
   * @param {Options} [options]
   * @returns {Promise<{ cursor: number }>}
   */
  acknowledge(body, options) {
    return this.#put("POST", "/api/messages/acknowledge", body, { again: true, ...options });
  }

  /**
   * Mark messages as read, of any conversations, or one conversation up to a seq.
   *
   * @param {{ message_ids: number[], private?: boolean } |
   *   { target_id: string, up_to_seq: number, kind?: "self", private?: boolean }} body
   * @param {Options} [options]
   * @returns {Promise<Types.ReadAnswer>}
   */
  markRead(body, options) {
    return this.#put("POST", "/api/messages/read", body, { again: true, ...options });
  }

  /**
   * @param {string} q
   * @param {Types.SearchQuery} [query]
   * @param {Options} [options]
   * @returns {Promise<Types.SearchAnswer>}
   */
  search(q, query, options) {
    check({ q });
    return this.#get("/api/search", { q, ...query }, options);
  }

  /** @param {Types.ListQuery} [query] @param {Options} [options] @returns {Promise<Types.ConversationsAnswer>} */
  getConversations(query, options) {
    return this.#get("/api/conversations", query, options);
  }

  /**
   * @param {{ before?: number, after?: number, limit?: number }} [query] positions are message ids
   * @param {Options} [options]
   * @returns {Promise<Types.NotificationsAnswer>}
   */
  getNotifications(query, options) {
    return this.#get("/api/notifications", query, options);
  }

  // ---- groups

  /**
   * @param {{ name: string, members?: string[], group_id?: string, history?: "join" | "start", description?: string, picture?: string | null, public?: boolean }} body
   * @param {Options} [options]
   * @returns {Promise<Types.Group>}
   */
  createGroup(body, options) {
    return this.#put("POST", "/api/groups", body, options);
  }

  /**
   * @param {Types.ListQuery} [query]
   * @param {Options} [options]
   * @returns {Promise<{ groups: { group_id: string, name: string, role: Types.Role }[], has_more: boolean, next_cursor: string | null }>}
   */
  getGroups(query, options) {
    return this.#get("/api/groups", query, options);
  }

  /** @param {string} groupId @param {Options} [options] @returns {Promise<Types.Group>} */
  getGroup(groupId, options) {
    return this.request("GET", path("groups/{groupId}", groupId), options);
  }

  /** @param {string} groupId @param {Types.GroupChange} body @param {Options} [options] @returns {Promise<Types.Group>} */
  updateGroup(groupId, body, options) {
    return this.#put("PATCH", path("groups/{groupId}", groupId), body, options);
  }

  /** @param {string} groupId @param {Options} [options] @returns {Promise<null>} */
  deleteGroup(groupId, options) {
    return this.request("DELETE", path("groups/{groupId}", groupId), options);
  }

  /**
   * Add a member, or change a member's role.
   *
   * @param {string} groupId
   * @param {string} userId
   * @param {{ role?: Types.Role }} [body]
   * @param {Options} [options]
   * @returns {Promise<Types.Group>}
   */
  putMember(groupId, userId, body, options) {
    return this.request("PUT", path("groups/{groupId}/members/{userId}", groupId, userId), { body, ...options });
  }

  /** @param {string} groupId @param {string} userId @param {Options} [options] @returns {Promise<null>} */
  removeMember(groupId, userId, options) {
    return this.request("DELETE", path("groups/{groupId}/members/{userId}", groupId, userId), options);
  }

  // ---- attachments

  /** @param {Uploadable} file @param {UploadOptions} [options] @returns {Promise<Types.Attachment>} */
  async uploadAttachment(file, options) {
    return (await attachments()).upload(await this.#loaded(), file, options);
  }

  /** @param {string} attachmentId @param {DownloadOptions} [options] @returns {Promise<File>} */
  async downloadAttachment(attachmentId, options) {
    check({ attachmentId });
    return (await attachments()).download(await this.#loaded(), attachmentId, options);
  }

  /** @param {string} attachmentId @param {Options} [options] @returns {Promise<Types.Attachment>} its name, type, size and digest */
  async getAttachment(attachmentId, options) {
    check({ attachmentId });
    return (await attachments()).describeAttachment(await this.#loaded(), attachmentId, options);
  }

  /**
   * Return an attachment's URL. Fetching it needs the token in the `Authorization` header.
   *
   * @param {string} attachmentId
   */
  attachmentUrl(attachmentId) {
    return this.baseUrl + path("attachments/{attachmentId}", attachmentId);
  }

  /** @param {DownloadOptions} [options] @returns {Promise<File>} a ZIP of all of the caller's account */
  async exportAccount(options) {
    return (await attachments()).fetchFile(await this.#loaded(), "/api/users/me/export", options);
  }

  /** @param {Types.Proof} proof @param {Options} [options] @returns {Promise<Types.Erasure>} the caller's account is gone for good */
  eraseAccount(proof, options) {
    return this.request("POST", "/api/users/me/erase", { body: proof, ...options });
  }

  /** @param {string} attachmentId @param {Options} [options] @returns {Promise<null>} */
  deleteAttachment(attachmentId, options) {
    return this.request("DELETE", path("attachments/{attachmentId}", attachmentId), options);
  }

  // ---- for operators and tools

  /** @param {Options} [options] @returns {Promise<any>} the message types this server knows, with their schemas */
  getTypes(options) {
    return this.request("GET", "/api/types", options);
  }

  #loaded() {
    this.#transport ??= import("./rest-transport.js").then(
      ({ Transport }) => new Transport(this.baseUrl, () => this.#token, this.#options),
      (cause) => {
        this.#transport = null; // the next call tries again
        throw new RelayError("offline", "its code is not loaded", { retry: true, cause });
      },
    );
    return this.#transport;
  }

  /** @param {string} where @param {object | undefined} query @param {Options | undefined} options */
  #get(where, query, options) {
    check({}, { query, options });
    return this.request("GET", where, { query: { ...query }, ...options });
  }

  /** @param {string} method @param {string} where @param {object} body @param {Call | undefined} options */
  #put(method, where, body, options) {
    check({ body }, { options });
    return this.request(method, where, { body, ...options });
  }

  /** @param {string} where @param {object} body @param {Options | undefined} options */
  async #enter(where, body, options) {
    const answer = await this.#put("POST", where, body, { open: true, ...options });
    this.authToken = answer.token;
    return answer;
  }
}

/** @param {string} template with the names of the parts @param {...string} parts */
function path(template, ...parts) {
  return `/api/${template.replace(/{(\w+)}/g, (_, name) => {
    const part = parts.shift();
    check({ [name]: part });
    return encodeURIComponent(/** @type {string} */ (part));
  })}`;
}
