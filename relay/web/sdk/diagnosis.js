/** A diagnosis of a failed connection: browsers do not tell pages the reason. Loaded when a connection fails. */

/** @import { RelayError } from "./errors.js" */
/** @import { RestApiClient } from "./rest-api-client.js" */

/**
 * Ask the server's address over HTTP, and return in a sentence what is wrong with it.
 *
 * @param {RestApiClient} rest
 */
export async function diagnose(rest) {
  const { baseUrl } = rest;
  const { origin } = /** @type {any} */ (globalThis).location ?? {};
  try {
    const health = await rest.request("GET", "/healthz", { open: true, again: false });
    if (health?.status) return `relay answers at ${baseUrl}, but not to WebSockets: does a proxy in between pass upgrades on?`;
  } catch (error) {
    const { code, status } = /** @type {RelayError} */ (error);
    if (code !== "offline") return `nothing at ${baseUrl} speaks relay (GET /healthz: HTTP ${status}); the address is the server's own, without /ws`;
    // Something may answer there that this page may not read: without CORS a page learns only that it answers.
    const there = origin && !baseUrl.startsWith(origin) && (await fetch(`${baseUrl}/healthz`, { mode: "no-cors" }).then(() => true, () => false));
    if (!there) return `nothing answers at ${baseUrl}`;
    return `what answers at ${baseUrl} lets no page of ${origin} in: is that in [server] allowed_origins?`;
  }
  return `nothing at ${baseUrl} speaks relay; the address is the server's own, without /ws`;
}
