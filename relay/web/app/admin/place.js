/** Where one is in the administration, as its address says. */

/** @typedef {{ section: string, id: string, query: URLSearchParams }} Place what an address names */

/**
 * Return the address of a place in the administration.
 *
 * @param {string} section
 * @param {string} [id]
 * @param {Record<string, string>} [query] without those that are empty
 */
export function hashTo(section, id = "", query = {}) {
  const given = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== ""));
  return `#/${section}${id && `/${encodeURIComponent(id)}`}${given.size > 0 ? `?${given}` : ""}`;
}

/** @param {string} hash @returns {Place} */
export function readPlace(hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split("?");
  const [section = "", id = ""] = path.split("/");
  let named = "";
  try {
    named = decodeURIComponent(id);
  } catch {
    // a broken link leads to the section
  }
  return { section, id: named, query: new URLSearchParams(query) };
}
