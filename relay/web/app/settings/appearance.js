/** Language, theme and size of the text: kept in this browser, for all who use it. */

import { element } from "../dom.js";
import { chooseLanguage, chosenLanguage, LANGUAGES, words } from "../words.js";
import { radios, row, select } from "./parts.js";

const texts = words.settings.appearance;

/** Both are read by first.js before anything is drawn. */
const THEME = "relay.theme";
const TEXT = "relay.text-size";

export function draw() {
  const { root, theme, text } = kept();
  const browsers = navigator.languages.map((tag) => tag.slice(0, 2)).find((tag) => tag in LANGUAGES) ?? "en";
  const languages = { "": texts.languageOfBrowser(LANGUAGES[browsers]), ...LANGUAGES };
  return [
    element("p", { class: "intro" }, texts.intro),
    row(texts.language, select(languages, chosenLanguage(), chooseLanguage), { hint: texts.languageHint }),
    radios(texts.theme, texts.themes, theme, (chosen) => keep(THEME, root, "theme", chosen === "system" ? "" : chosen)),
    radios(texts.textSize, texts.sizes, text, (chosen) => keep(TEXT, root, "text", chosen === "normal" ? "" : chosen)),
  ];
}

function kept() {
  const root = document.documentElement;
  return { root, theme: root.dataset.theme ?? "system", text: root.dataset.text ?? "normal" };
}

/**
 * @param {string} key
 * @param {HTMLElement} root
 * @param {"theme" | "text"} name
 * @param {string} value empty for what is there without a choice
 */
function keep(key, root, name, value) {
  if (value) root.dataset[name] = value;
  else delete root.dataset[name];
  try {
    if (value) localStorage.setItem(key, value);
    else localStorage.removeItem(key);
  } catch {
    // storage is forbidden: it holds as long as the page
  }
}
