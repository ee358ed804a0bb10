/** Ids that nobody else has made. */

/** Return 32 random hexadecimal digits; unlike `crypto.randomUUID`, on pages without TLS as well. */
export function generateUniqueId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
