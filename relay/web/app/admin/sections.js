/** The sections of the administration, in their order, each a module that is loaded when it is opened. */

/** @import { Administration, ROLES } from "./administration.js" */
/** @import { Place } from "./place.js" */

/**
 * @typedef {"overview" | "users" | "invitations" | "tokens" | "connections" | "groups" | "reports" | "sending" | "audit" | "plugins" | "queues" | "storage" | "backups" | "trace" | "rights"} SectionId
 * @typedef {object} Section
 * @property {string} id its place in the address; of relay's own sections a `SectionId`, the key of its texts
 * @property {string} [title] of a plugin's section, which brings its own text
 * @property {string} icon
 * @property {(typeof ROLES)[number]} least the lowest role that sees it
 * @property {() => Promise<{ draw: (admin: Administration, place: Place) => Node | Node[] }>} load
 */

/** @type {readonly (Section & { id: SectionId })[]} */
export const SECTIONS = [
  { id: "overview", icon: "pulse", least: "admin", load: () => import("./overview.js") },
  { id: "users", icon: "people", least: "admin", load: () => import("./users.js") },
  { id: "invitations", icon: "invite", least: "admin", load: () => import("./invitations.js") },
  { id: "tokens", icon: "key", least: "admin", load: () => import("./tokens.js") },
  { id: "connections", icon: "device", least: "admin", load: () => import("./connections.js") },
  { id: "groups", icon: "group", least: "admin", load: () => import("./groups.js") },
  { id: "reports", icon: "flag", least: "moderator", load: () => import("./reports.js") },
  { id: "sending", icon: "send", least: "admin", load: () => import("./sending.js") },
  { id: "audit", icon: "document", least: "admin", load: () => import("./audit.js") },
  { id: "plugins", icon: "plugin", least: "admin", load: () => import("./plugins.js") },
  { id: "queues", icon: "pause", least: "admin", load: () => import("./queues.js") },
  { id: "storage", icon: "archive", least: "admin", load: () => import("./storage.js") },
  { id: "backups", icon: "download", least: "admin", load: () => import("./backups.js") },
  { id: "trace", icon: "search", least: "admin", load: () => import("./trace.js") },
  { id: "rights", icon: "shield", least: "admin", load: () => import("./rights.js") },
];
