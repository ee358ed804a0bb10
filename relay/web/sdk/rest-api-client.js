/**
 * The REST API, one method a call. Bodies, queries and answers are those of docs/rest.md, name by name; what is in
 * the path comes as an argument of its own.
 */

import { Transport } from "./rest/transport.js";

/** Loaded when a file is sent or fetched: most programs never do. */
const attachments = () => import("./attachments.js");

/**
 * @import * as Types from "./types.js"
 * @import { Call, TransportOptions } from "./rest/transport.js"
 * @import { DownloadOptions, UploadOptions, Uploadable } from "./attachments.js"
 * @typedef {{ signal?: AbortSignal }} Options
 */

export class RestApiClient {
  #transport;

  /**
   * @param {string} baseUrl `http(s)://` or `ws(s)://` with any path prefix; empty for the page's own origin
   * @param {string | Types.TokenProvider | null} [authToken] a token, or who gives one out; none for a login
   * @param {TransportOptions} [options]
   */
  constructor(baseUrl, authToken = null, options = {}) {
    this.#transport = new Transport(baseUrl, authToken, options);
  }

  get baseUrl() {
    return this.#transport.baseUrl;
  }

  /** The token, or who gives one out; what is set counts from the next call on. */
  get authToken() {
    return this.#transport.token ?? null;
  }

  set authToken(token) {
    this.#transport.use(token);
  }

  /**
   * Make any call, a plugin's say, and return its decoded answer.
   *
   * @param {string} method
   * @param {string} path such as `/api/users/me`
   * @param {Call} [call]
   * @returns {Promise<any>}
   * @throws {RelayError} The server refused, or (code `offline`) did not answer.
   */
  request(method, path, call) {
    return this.#transport.json(method, path, call);
  }

  // ---- accounts

  /**
   * Exchange a password for a token, which this client uses from then on.
   *
   * @param {{ user_id: string, password: string, client_id?: string }} body
   * @param {Options} [options]
   * @returns {Promise<Types.Login>}
   */
  login(body, options) {
    return this.#enter("/api/login", body, options);
  }

  /**
   * Make an account and log it in, as `login` does.
   *
   * @param {{ user_id: string, password: string, invite?: string, display_name?: string, client_id?: string }} body
   * @param {Options} [options]
   * @returns {Promise<Types.Login>}
   */
  register(body, options) {
    return this.#enter("/api/register", body, options);
  }

  /**
   * Revoke the token, and forget it where it is a plain one.
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
    return this.request("PATCH", "/api/users/me", { body, ...options });
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
    // In the query: a path cannot say every id that a device may have.
    return this.request("DELETE", "/api/devices", { query: { client_id: clientId }, ...options });
  }

  // ---- people

  /**
   * Look into the directory for a part of a user id or display name; all of it without one.
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
    return this.request("GET", path("users", userId), options);
  }

  /** @param {string} userId @param {Options} [options] @returns {Promise<Types.Status>} */
  getStatus(userId, options) {
    return this.request("GET", `${path("users", userId)}/status`, options);
  }

  /** @param {Options} [options] @returns {Promise<{ statuses: Types.Status[] }>} */
  getFollowingStatus(options) {
    return this.request("GET", "/api/users/following/status", options);
  }

  /** @param {string} userId @param {Options} [options] @returns {Promise<null>} */
  follow(userId, options) {
    return this.request("PUT", path("users/following", userId), options);
  }

  /** @param {string} userId @param {Options} [options] @returns {Promise<null>} */
  unfollow(userId, options) {
    return this.request("DELETE", path("users/following", userId), options);
  }

  // ---- messages

  /**
   * Send an envelope without a socket. With a `meta.id` it is stored once, however often the call is made.
   *
   * @param {{ type: string, payload: object, meta: Types.Meta }} envelope
   * @param {Options} [options]
   * @returns {Promise<Types.AckPayload>}
   */
  sendMessage(envelope, options) {
    return this.request("POST", "/api/messages", { body: envelope, again: envelope.meta.id !== undefined, ...options });
  }

  /**
   * @param {string} userId
   * @param {Types.Pagination} [pagination]
   * @param {Options} [options]
   * @returns {Promise<Types.HistoryAnswer>}
   */
  getUserMessages(userId, pagination, options) {
    return this.#get(path("messages/user", userId), pagination, options);
  }

  /**
   * @param {string} groupId
   * @param {Types.Pagination} [pagination]
   * @param {Options} [options]
   * @returns {Promise<Types.HistoryAnswer>}
   */
  getGroupMessages(groupId, pagination, options) {
    return this.#get(path("messages/group", groupId), pagination, options);
  }

  /** @param {Types.ListQuery} [query] @param {Options} [options] @returns {Promise<Types.UndeliveredAnswer>} */
  getUndelivered(query, options) {
    return this.#get("/api/messages/undelivered", query, options);
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
    return this.request("POST", "/api/messages/read", { body, again: true, ...options });
  }

  /**
   * @param {string} q
   * @param {Types.SearchQuery} [query]
   * @param {Options} [options]
   * @returns {Promise<Types.SearchAnswer>}
   */
  search(q, query, options) {
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
   * @param {{ name: string, members?: string[], group_id?: string, history?: "join" | "start" }} body
   * @param {Options} [options]
   * @returns {Promise<Types.Group>}
   */
  createGroup(body, options) {
    return this.request("POST", "/api/groups", { body, ...options });
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
    return this.request("GET", path("groups", groupId), options);
  }

  /** @param {string} groupId @param {{ name: string }} body @param {Options} [options] @returns {Promise<Types.Group>} */
  updateGroup(groupId, body, options) {
    return this.request("PATCH", path("groups", groupId), { body, ...options });
  }

  /** @param {string} groupId @param {Options} [options] @returns {Promise<null>} */
  deleteGroup(groupId, options) {
    return this.request("DELETE", path("groups", groupId), options);
  }

  /**
   * Add a member, or give one another role.
   *
   * @param {string} groupId
   * @param {string} userId
   * @param {{ role?: Types.Role }} [body]
   * @param {Options} [options]
   * @returns {Promise<Types.Group>}
   */
  putMember(groupId, userId, body, options) {
    return this.request("PUT", path("groups", groupId, "members", userId), { body, ...options });
  }

  /** @param {string} groupId @param {string} userId @param {Options} [options] @returns {Promise<null>} */
  removeMember(groupId, userId, options) {
    return this.request("DELETE", path("groups", groupId, "members", userId), options);
  }

  // ---- attachments

  /** @param {Uploadable} file @param {UploadOptions} [options] @returns {Promise<Types.Attachment>} */
  async uploadAttachment(file, options) {
    return (await attachments()).upload(this.#transport, file, options);
  }

  /** @param {string} attachmentId @param {DownloadOptions} [options] @returns {Promise<File>} */
  async downloadAttachment(attachmentId, options) {
    return (await attachments()).download(this.#transport, attachmentId, options);
  }

  /**
   * Return what an attachment is, without its bytes.
   *
   * @param {string} attachmentId
   * @param {Options} [options]
   * @returns {Promise<Types.Attachment>}
   */
  async getAttachment(attachmentId, options) {
    return (await attachments()).describeAttachment(this.#transport, attachmentId, options);
  }

  /**
   * Return an attachment's address; whoever fetches it must send the token in the `Authorization` header.
   *
   * @param {string} attachmentId
   */
  attachmentUrl(attachmentId) {
    return this.#transport.url(path("attachments", attachmentId));
  }

  /** @param {string} attachmentId @param {Options} [options] @returns {Promise<null>} */
  deleteAttachment(attachmentId, options) {
    return this.request("DELETE", path("attachments", attachmentId), options);
  }

  // ---- for operators and tools

  /** @param {Options} [options] @returns {Promise<any>} the message types this server knows, with their schemas */
  getTypes(options) {
    return this.request("GET", "/api/types", options);
  }

  /** @param {string} where @param {object | undefined} query @param {Options | undefined} options */
  #get(where, query, options) {
    return this.request("GET", where, { query: { ...query }, ...options });
  }

  /** @param {string} where @param {object} body @param {Options | undefined} options */
  async #enter(where, body, options) {
    const answer = await this.request("POST", where, { body, open: true, ...options });
    this.authToken = answer.token;
    return answer;
  }
}

/** @param {string} first @param {...string} parts */
function path(first, ...parts) {
  return ["/api", first, ...parts].map((part, at) => (at % 2 ? part : at ? encodeURIComponent(part) : part)).join("/");
}
