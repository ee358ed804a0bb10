/**
 * The texts of the page, in the language of the reader: the one that they chose in the settings, else the first one of the
 * browser's that there is, else English. A change of the language loads the page anew, so a text never changes while it is
 * shown. Each language is one file in `words/`, with the keys of `en.js`.
 */

import en from "./words/en.js";

/** @typedef {typeof en} Words what a language's file has: texts, and functions for texts with something in them */

const KEY = "relay.language";

/** The languages that there are, with their own names. @type {Readonly<Record<string, string>>} */
export const LANGUAGES = Object.freeze({ en: "English", fr: "Français" });

/** The language that this browser's user chose; empty for that of the browser. */
export function chosenLanguage() {
  try {
    const chosen = localStorage.getItem(KEY) ?? "";
    return chosen in LANGUAGES ? chosen : "";
  } catch {
    return ""; // storage is forbidden
  }
}

/** Choose a language, and load the page anew. @param {string} language a key of LANGUAGES; empty for the browser's */
export function chooseLanguage(language) {
  if (language) localStorage.setItem(KEY, language);
  else localStorage.removeItem(KEY);
  location.reload();
}

/** @returns {string} */
function found() {
  const wanted = [chosenLanguage(), ...(globalThis.navigator?.languages ?? [])].map((tag) => tag.split("-")[0].toLowerCase());
  return wanted.find((one) => one in LANGUAGES) ?? "en";
}

/** The language of the page, for `Intl` as well: a browser's own variant of it, such as `fr-CH`, where it has one. */
export const language = found();
export const locale = globalThis.navigator?.languages?.find((tag) => tag.split("-")[0].toLowerCase() === language) ?? language;

/** @type {Words} */
export const words = language === "fr" ? (await import("./words/fr.js")).default : en;

if (globalThis.document) document.documentElement.lang = language;

/**
 * Return the texts of a plugin in the language of the page. A text that there is not in it is English.
 *
 * @template {Record<string, any>} Texts
 * @param {{ en: Texts } & Record<string, Partial<Texts>>} languages by the language, such as `en` and `fr`
 * @returns {Texts}
 */
export function textsOf(languages) {
  if (!languages.en) throw new TypeError("textsOf: there are no texts in English, `en`, which stand in for those that another language lacks");
  return { ...languages.en, ...languages[language] };
}

const PLURAL = new Intl.PluralRules(locale);
export const NUMBER = new Intl.NumberFormat(locale);

/**
 * Return a number with its noun, in the form that the language has for it.
 *
 * @param {number} count
 * @param {{ one: string, other: string }} forms with `#` in the place of the number
 */
export function counted(count, forms) {
  const form = PLURAL.select(count) === "one" ? forms.one : forms.other;
  return form.replace("#", NUMBER.format(count));
}
