/** The emoji: loaded when they are first needed, with their names in the page's language; found by name, word or short name. */

import { language } from "../words.js";

/**
 * @typedef {object} Emoji
 * @property {string} emoji
 * @property {string} name in the page's language
 * @property {string} code the short name, such as `tada`; empty where there is none
 * @property {string} words lower case, without accents: all that it is found by
 * @property {boolean} toned whether it takes a skin tone
 */

/** The skin tones; the first is none. */
export const TONES = ["", "🏻", "🏼", "🏽", "🏾", "🏿"];
const KEY = "relay.emoji";
const MAX_RECENT = 24;

/** @type {Promise<Emoji[][]> | null} */
let loading = null;
/** @type {Emoji[][]} */
let groups = [];

/** Load the emoji, by group. Rejects where the server is away; the next call tries again. */
export function loadEmoji() {
  loading ??= load().catch((fault) => {
    loading = null;
    throw fault;
  });
  return loading;
}

async function load() {
  const named = language === "fr" ? import("./names-fr.js") : import("./names-en.js");
  const [{ default: listed }, { default: names }] = await Promise.all([import("./list.js"), named]);
  groups = listed.map((group, at) => {
    const lines = names[at].split("\n");
    return group.split("\n").map((line, index) => read(line, lines[index]));
  });
  return groups;
}

/** @param {string} line @param {string} names @returns {Emoji} */
function read(line, names) {
  const [emoji, code, tone] = line.split(" ");
  const [name] = names.split("|", 1);
  return { emoji, name, code, words: plain(`${names}|${code}|${code.replaceAll("_", " ")}`), toned: tone === "+" };
}

/** Return a text as it is compared: lower case, without accents. @param {string} text */
function plain(text) {
  return text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
}

/**
 * Find emoji, the best first. Empty until they are loaded.
 *
 * @param {string} wanted with or without the colons of a short name
 * @param {number} [limit]
 * @returns {Emoji[]}
 */
export function find(wanted, limit = 60) {
  const query = plain(wanted.replace(/^:|:$/g, "")).trim();
  if (!query) return [];
  /** @type {Emoji[][]} */
  const ranked = [[], [], [], []];
  for (const one of groups.flat()) {
    const rank = rankOf(one, query);
    if (rank !== null) ranked[rank].push(one);
  }
  return ranked.flat().slice(0, limit);
}

/** @param {Emoji} one @param {string} query */
function rankOf({ code, words }, query) {
  if (code === query) return 0;
  if (code.startsWith(query)) return 1;
  const at = words.indexOf(query);
  if (at < 0) return query.includes(" ") && query.split(/\s+/).every((word) => begins(words, word)) ? 3 : null;
  return at === 0 ? 1 : begins(words, query) ? 2 : 3;
}

/** @param {string} words @param {string} query */
function begins(words, query) {
  for (let at = words.indexOf(query); at >= 0; at = words.indexOf(query, at + 1)) if (at === 0 || /[^\p{L}\p{N}]/u.test(words[at - 1])) return true;
  return false;
}

/**
 * Return an emoji in a skin tone.
 *
 * @param {Emoji} one
 * @param {number} tone an index of TONES
 */
export function inTone({ emoji, toned }, tone) {
  if (!toned || tone === 0) return emoji;
  const [first, ...rest] = emoji;
  return [first, TONES[tone], ...(rest[0] === "\ufe0f" ? rest.slice(1) : rest)].join("");
}

/** What this user chose lately, and in which tone. @returns {{ recent: string[], tone: number }} */
export function readChoices() {
  try {
    const { recent, tone } = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    return { recent: Array.isArray(recent) ? recent.filter((one) => typeof one === "string") : [], tone: TONES[tone] ? tone : 0 };
  } catch {
    return { recent: [], tone: 0 }; // it is not ours, or storage is forbidden
  }
}

/** @param {{ recent?: string, tone?: number }} choice */
export function keepChoice({ recent, tone }) {
  const before = readChoices();
  const order = recent ? [recent, ...before.recent.filter((one) => one !== recent)] : before.recent;
  try {
    localStorage.setItem(KEY, JSON.stringify({ recent: order.slice(0, MAX_RECENT), tone: tone ?? before.tone }));
  } catch {
    // storage is forbidden: nothing is remembered
  }
}
