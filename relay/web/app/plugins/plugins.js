/**
 * The page modules of plugins: loaded once a page, asked how their types are drawn, and what they add to the composer, the
 * messages and the header. What a module does wrong costs the page nothing (plugin-guard.js).
 */

import { UNREAD_TYPES } from "../../sdk/protocol.js";
import { element } from "../dom.js";
import { BASE } from "../session.js";
import { words } from "../words.js";
import { acceptElement, acceptText, boxed, guarded, marked, pressed, tell, watchLater } from "./plugin-guard.js";
import { readModule } from "./plugin-module.js";
import { findHanging, isAside, markLoading, takeBack } from "./plugin-marks.js";

/** @import { MessageView } from "../../sdk/index.js" */
/** @import { Messenger } from "../messenger.js" */
/** @import { Action, Relay, TypeModule } from "../page-module.js" */
/** @import { Checked, Listed } from "./plugin-module.js" */

/** After so long the next module is loaded; the slow one is taken when it comes. */
const LOAD_MS = 10_000;
const ROOT = `${BASE}/plugins/`;

/** @typedef {{ plugin: Listed, module: Checked }} Loaded */
/** @typedef {{ label: string, sign: string | Element | undefined, press: () => void }} BoundAction */

/** The types that make a conversation unread, those of plugins included. @type {Set<string>} */
export const counted = new Set(UNREAD_TYPES);
/** The types that are shown before they are stored. */
export const echoed = new Set(["chat_message", "group_message"]);

/** @type {Promise<void> | null} */
let begun = null;
/** @type {Map<string, { plugin: Listed, type: TypeModule }>} */
const types = new Map();
/** @type {Loaded[]} */
const loaded = [];
/** @type {Messenger | null} */
let messenger = null;
/** What modules are given, by plugin and conversation. @type {Map<string, Relay>} */
const given = new Map();

/**
 * Load the modules, if that has not been done, and let them act for the signed-in user.
 *
 * @param {Messenger} signedIn
 */
export function beginPlugins(signedIn) {
  if (messenger !== signedIn) given.clear();
  messenger = signedIn;
  begun ??= load();
}

/** Forget the user who was signed in. */
export function endPlugins() {
  messenger = null;
  given.clear();
}

async function load() {
  /** @type {{ plugins: Listed[], unread: string[] } | null} */
  const listed = await fetch(`${ROOT}index.json`).then((answer) => (answer.ok ? answer.json() : null)).catch(() => null);
  if (!listed) {
    begun = null; // the server is away: again once there is a connection
    return;
  }
  const { plugins, unread } = listed;
  watchLater();
  for (const type of unread) counted.add(type);
  const hanging = findHanging();
  for (const plugin of plugins) {
    if (hanging.has(plugin.name) && isAside(plugin)) tell(plugin.name, "hang", "the page hung while it ran", "it is set aside in this browser");
    if (isAside(plugin)) offerAgain(plugin);
    else await loadOne(plugin); // one after the other, so that the one which hangs is known
  }
}

/** @param {Listed} plugin */
function offerAgain(plugin) {
  const again = () => (takeBack(plugin.name), void loadOne(plugin));
  const { aside, asideWhy, tryAgain } = words.plugins;
  messenger?.notices.ask(aside(plugin.name), asideWhy, tryAgain, again);
}

/** @param {Listed} plugin */
async function loadOne(plugin) {
  const failed = (/** @type {unknown} */ fault) => tell(plugin.name, "load", "load", fault);
  for (const style of plugin.styles) {
    const href = `${ROOT}${plugin.name}/${style}`;
    document.head.append(element("link", { rel: "stylesheet", href, onerror: () => failed(`${style} could not be loaded`) }));
  }
  const loads = markLoading(plugin);
  const taken = import(`${ROOT}${plugin.name}/${plugin.module}`).then((module) => take(plugin, module)).catch(failed);
  const slow = new Promise((resolve) => setTimeout(() => resolve("slow"), LOAD_MS));
  if ((await Promise.race([taken, slow])) === "slow") failed(`it was not there after ${LOAD_MS / 1000} s`);
  loads();
}

/** @param {Listed} plugin @param {unknown} exported */
function take(plugin, exported) {
  const { module, wrong } = readModule(plugin, exported);
  for (const text of wrong) tell(plugin.name, "shape", plugin.module, text);
  for (const [name, type] of Object.entries(module.types)) {
    types.set(name, { plugin, type });
    echoed.add(name);
  }
  loaded.push({ plugin, module });
  messenger?.names.redraw();
}

// ---- what the page asks

/**
 * Draw a message by its plugin's module; null where there is none, or it failed.
 *
 * @param {MessageView} message
 */
export function drawByPlugin(message) {
  const known = types.get(message.type);
  const relay = known && relayOf(known.plugin, message.conversation);
  if (!relay || !known.type.draw) return null;
  const { plugin, type } = known;
  const made = guarded(plugin, "draw", `draw of ${message.type}`, () => type.draw?.(message, relay), acceptElement);
  return made && boxed(plugin, made);
}

/**
 * Return a message in one line, by its plugin's module; empty where there is none, or it failed.
 *
 * @param {MessageView} message
 */
export function textByPlugin(message) {
  const known = types.get(message.type);
  const relay = known && relayOf(known.plugin, message.conversation);
  if (!relay || !known.type.text) return "";
  return guarded(known.plugin, "text", `text of ${message.type}`, () => known.type.text?.(message, relay), acceptText) ?? "";
}

/**
 * Return the buttons that plugins add to a message.
 *
 * @param {MessageView} message
 * @returns {BoundAction[]}
 */
export function messageActions(message) {
  const known = types.get(message.type);
  const relay = known && relayOf(known.plugin, message.conversation);
  return relay ? bind(known.plugin, known.type.actions, [message, relay]) : [];
}

/**
 * Return the buttons that plugins add to the composer.
 *
 * @param {string} conversation
 * @returns {BoundAction[]}
 */
export function composerActions(conversation) {
  return loaded.flatMap(({ plugin, module }) => {
    const relay = relayOf(plugin, conversation);
    return relay ? bind(plugin, module.composer, [relay]) : [];
  });
}

/**
 * Return the panels of plugins.
 *
 * @param {string} conversation
 * @returns {{ name: string, label: string, draw: () => Element | null }[]}
 */
export function panels(conversation) {
  return loaded.flatMap(({ plugin, module: { panel } }) => {
    const relay = relayOf(plugin, conversation);
    if (!relay || !panel) return [];
    const draw = () => {
      const made = guarded(plugin, "draw", "draw of the panel", () => panel.draw(relay), acceptElement);
      return made && boxed(plugin, made);
    };
    return [{ name: plugin.name, label: panel.label, draw }];
  });
}

/**
 * @template {unknown[]} Given
 * @param {Listed} plugin
 * @param {Action<Given>[] | undefined} actions
 * @param {Given} things
 * @returns {BoundAction[]}
 */
function bind(plugin, actions, things) {
  const shown = (/** @type {Action<Given>} */ { label, shown }) =>
    !shown || guarded(plugin, "draw", `shown of ${label}`, () => shown(...things), Boolean);
  const signOf = (/** @type {Action<Given>} */ { label, sign }) =>
    typeof sign === "function" ? (guarded(plugin, "draw", `sign of ${label}`, sign, acceptElement) ?? undefined) : sign;
  return (actions ?? [])
    .filter(shown)
    .map((action) => ({ label: action.label, sign: signOf(action), press: () => pressed(plugin, action.label, () => action.press(...things)) }));
}

/** @param {Listed} plugin @param {string} id a conversation's @returns {Relay | null} */
function relayOf(plugin, id) {
  if (!messenger) return null;
  const key = `${plugin.name} ${id}`;
  const relay = given.get(key) ?? makeRelay(plugin, id, messenger);
  given.set(key, relay);
  return relay;
}

/** @param {Listed} plugin @param {string} id @param {Messenger} messenger @returns {Relay} */
function makeRelay(plugin, id, { session, store, names, messaging, socket, failed }) {
  /** @param {string} type @param {Record<string, unknown>} payload */
  const send = async (type, payload) => {
    const sent = socket.sendMessage(type, /** @type {any} */ (payload), id);
    try {
      return await sent;
    } catch (error) {
      if (echoed.has(type)) return null; // its line in the conversation shows the error, with a retry button
      failed(error);
      await messaging.discardMessage(sent.id);
      return null;
    }
  };
  return Object.freeze({
    me: session.userId,
    options: plugin.options,
    get conversation() {
      const view = store.conversation(id);
      const kind = /** @type {"user" | "group" | null} */ (view.kind);
      return { id, kind, role: view.role, may: view.may, name: names.title(view), messages: view.messages };
    },
    name: (/** @type {string} */ userId) => names.of(userId),
    send: (/** @type {string} */ type, /** @type {Record<string, unknown>} */ payload) => marked(plugin, send(type, payload)),
    call: (/** @type {string} */ method, /** @type {string} */ path, /** @type {any} */ parts) =>
      marked(plugin, messaging.restApi.request(method, path, parts)),
    failed,
  });
}
