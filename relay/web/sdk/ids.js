/** Unique ids. */

/** Return 32 random hexadecimal digits. Unlike `crypto.randomUUID` this also works on pages without TLS. */
export function generateUniqueId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
