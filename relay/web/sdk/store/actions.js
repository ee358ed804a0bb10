/** The actions of a message, as an application draws them: its buttons, selects and forms, and what became of them. */

/** @import { Action } from "../types.js" */
/** @import { LatestView } from "./latest.js" */

/**
 * @typedef {object} ActionsView
 * @property {readonly Action[]} elements
 * @property {"user" | "message" | "never"} once how often they may be answered: once by each user, once in all, or without an end
 * @property {"everyone" | "admins" | readonly string[]} for who may answer
 * @property {number} answers
 * @property {boolean} closed
 * @property {string | null} closedBy
 * @property {string | null} outcome what came of them, in words
 * @property {{ action: string, value?: string, values?: Readonly<Record<string, string | number | boolean>> } | null} mine the user's own newest answer
 */

/**
 * Return the actions of a message; null where it has none.
 *
 * @param {Readonly<Record<string, any>>} payload
 * @param {readonly LatestView[]} latest the latest values about it
 * @returns {ActionsView | null}
 */
export function actionsOf(payload, latest) {
  const state = newest(latest, "action_state") ?? {};
  const given = state.actions ?? payload.actions;
  if (!Array.isArray(given?.elements) || given.elements.length === 0) return null;
  const mine = newest(latest, "action_answer");
  return Object.freeze({
    elements: given.elements,
    once: given.once ?? "user",
    for: given.for ?? "everyone",
    answers: state.answers ?? 0,
    closed: state.closed_at !== undefined,
    closedBy: state.closed_by ?? null,
    outcome: state.outcome ?? null,
    mine: mine && (mine.round ?? 0) === (state.round ?? 0) ? mine : null, // other actions begin anew
  });
}

/** @param {readonly LatestView[]} latest @param {string} wanted @returns {any} */
function newest(latest, wanted) {
  return latest.findLast(({ type }) => type === wanted)?.payload ?? null;
}
