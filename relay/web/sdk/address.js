/**
 * Server addresses. A base URL is `http(s)://` or `ws(s)://`, with the path prefix of a reverse proxy if there is one. An
 * empty base URL is the page's own origin.
 */

import { mistake } from "./checks.js";

/**
 * Return a base URL as `http(s)`, without a slash at the end.
 *
 * @param {string} baseUrl
 * @throws {TypeError} It is not such an address, or empty where there is no page.
 */
export function httpAddress(baseUrl) {
  const page = /** @type {any} */ (globalThis).location?.origin;
  if (baseUrl === "" && !page) throw new TypeError("the base URL is empty, and there is no page");
  const url = typeof baseUrl === "string" && URL.canParse(baseUrl || page, page) && new URL(baseUrl || page, page);
  if (!url || !/^(http|ws)s?:$/.test(url.protocol)) throw mistake("baseUrl", baseUrl, "an address with http, https, ws or wss");
  url.protocol = url.protocol.replace(/^ws/, "http");
  return url.origin + url.pathname.replace(/\/+$/, "");
}

/**
 * Return the address of a server's WebSocket.
 *
 * @param {string} baseUrl
 */
export function socketAddress(baseUrl) {
  return `${httpAddress(baseUrl).replace(/^http/, "ws")}/ws`;
}
