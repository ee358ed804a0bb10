/** The administration's texts, in the language of the page. They are files of their own, as few people ever see them. */

import { language } from "../words.js";
import en from "../words/admin-en.js";

/** @typedef {typeof en} AdminWords */

/** @type {AdminWords} */
export const texts = language === "fr" ? (await import("../words/admin-fr.js")).default : en;
