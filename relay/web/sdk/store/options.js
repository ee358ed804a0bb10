/** The options of a Store. */

/**
 * @typedef {object} StoreOptions
 * @property {number} [keep] messages held of a conversation in which nobody scrolls; 300
 * @property {boolean} [threads] whether replies that only their thread shows are kept apart from their conversation; false
 * @property {string[] | Set<string>} [echoed] the types that are shown before they are stored; by default chat and group messages
 * @property {string[] | Set<string>} [counted] the types that make a conversation unread; by default the bundled types that do
 *   so on the server. A Set of either may grow later
 * @property {boolean | import("./kept.js").PersistOptions} [persist] whether what is shown is kept in the storage, and shown at once
 *   at the next start, also without a network; false
 */

export {};
