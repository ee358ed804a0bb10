/** A plugin's module as the page uses it: what is right of its exports; the rest is named for the plugin's author. */

/** @import { Action, PageModule, Relay, TypeModule } from "../page-module.js" */

/** @typedef {{ name: string, module: string, styles: string[], version: string, options: any, types: string[] }} Listed */
/** @typedef {{ types: Record<string, TypeModule>, composer: Action<[Relay]>[], panel: PageModule["panel"] | null }} Checked */

/**
 * Return what is right of a module's exports, and what is wrong in words.
 *
 * @param {Listed} plugin
 * @param {any} exported
 * @returns {{ module: Checked, wrong: string[] }}
 */
export function readModule(plugin, { types: drawn, composer, panel }) {
  /** @type {string[]} */
  const wrong = [];
  if (!drawn && !composer && !panel) wrong.push("it exports none of types, composer and panel");
  /** @type {Checked} */
  const module = { types: {}, composer: actionsOf(composer, "composer", wrong), panel: null };
  for (const [name, type] of Object.entries(drawn ?? {})) {
    const { draw, text, actions } = type ?? {};
    if (!plugin.types.includes(name)) wrong.push(`types: ${name} is no stream type of the plugin; it has ${plugin.types.join(", ") || "none"}`);
    else {
      module.types[name] = {
        draw: functionOf(draw, `types.${name}.draw`, wrong),
        text: functionOf(text, `types.${name}.text`, wrong),
        actions: actionsOf(actions, `types.${name}.actions`, wrong),
      };
    }
  }
  if (panel && typeof panel.label === "string" && typeof panel.draw === "function") module.panel = panel;
  else if (panel) wrong.push("panel has a label and a function draw");
  return { module, wrong };
}

/** @param {any} value @param {string} name @param {string[]} wrong */
function functionOf(value, name, wrong) {
  if (value !== undefined && typeof value !== "function") wrong.push(`${name} is no function`);
  return typeof value === "function" ? value : undefined;
}

/** @param {any} value @param {string} name @param {string[]} wrong @returns {Action<any>[]} */
function actionsOf(value, name, wrong) {
  const isAction = (/** @type {any} */ action) => typeof action?.label === "string" && typeof action.press === "function";
  const right = Array.isArray(value) ? value.filter(isAction) : [];
  if (value && right.length !== value.length) wrong.push(`${name} is a list, of which each has a label and a function press`);
  return right;
}
