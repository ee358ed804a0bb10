/** What the files of messages are to the page: what it shows of them, and how it calls them. */

import { isolate, size, straight } from "../format.js";
import { words } from "../words.js";

/** @import { FileView } from "../../sdk/index.js" */

/** Larger pictures are loaded only when asked for. */
export const PREVIEW_BYTES = 8_000_000;
/** Larger texts are downloaded only. */
const TEXT_BYTES = 1_000_000;
/** Types that a browser shows without running anything: never a document that it would open as a page of ours. */
const PICTURES = /^image\/(?:png|jpeg|gif|webp|avif)$/;
const SOUNDS = /^audio\/(?:mpeg|ogg|wav|flac|mp4|webm)$/;
const VIDEOS = /^video\/(?:mp4|webm|quicktime)$/;
const VOICE = /^voice\b/i;

/** @typedef {"picture" | "video" | "sound" | "pdf" | "text" | "file"} Kind */

/** @param {Pick<FileView, "type" | "size">} file @returns {Kind} */
export function kindOf({ type, size: bytes }) {
  if (PICTURES.test(type)) return "picture";
  if (VIDEOS.test(type)) return "video";
  if (SOUNDS.test(type)) return "sound";
  if (type === "application/pdf") return "pdf";
  return type.startsWith("text/plain") && bytes <= TEXT_BYTES ? "text" : "file";
}

/** @param {Pick<FileView, "name">} file */
export function isVoice({ name }) {
  return VOICE.test(name);
}

/** Return a file's name as it is shown. @param {Pick<FileView, "name">} file */
export function nameOf({ name }) {
  return straight(name) || words.files.file;
}

/** Return the name of a file for a label, with what kind of file it is and how large. @param {FileView} file */
export function labelOf(file) {
  return `${isolate(nameOf(file))}, ${words.files.kinds[kindOf(file)]}, ${size(file.size)}`;
}
