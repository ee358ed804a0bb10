/** Sound in messages: one plays at a time, and goes on while its message is drawn anew or scrolled out of sight. */

import { button, element, fill, icon } from "../dom.js";
import { isolate, size } from "../format.js";
import { locale, words } from "../words.js";
import { whenNear } from "./blobs.js";
import { isVoice, nameOf } from "./kinds.js";

/** @import { FileView } from "../../sdk/index.js" */
/** @import { Blobs } from "./blobs.js" */

/** Voice messages up to this size are loaded when they come near, so that their length is known. */
const VOICE_BYTES = 500_000;
const SPEEDS = [1, 1.5, 2];
const RATE = new Intl.NumberFormat(locale);
/** A position that is behind the end of any recording: going there tells a recording's length that does not say it. */
const END = 1e8;
const MEASURE_MILLISECONDS = 5_000;

export class Player {
  /** Not in the document: an element that is moved there stops. */
  #audio = new Audio();
  /** The id of the file that plays, or is paused. */
  #id = "";
  #failed = "";
  /** @type {Map<string, number>} seconds, by attachment id */
  #lengths = new Map();

  /** @param {Blobs} blobs */
  constructor(blobs) {
    this.blobs = blobs;
    for (const name of ["play", "pause", "timeupdate", "ended", "ratechange"]) this.#audio.addEventListener(name, () => this.#shown());
  }

  close() {
    this.#audio.pause();
    this.#audio.removeAttribute("src");
  }

  /** Stop what plays, as a video begins. */
  pause() {
    this.#audio.pause();
  }

  /** @param {FileView} file */
  draw(file) {
    const id = file.attachmentId ?? "";
    const voice = isVoice(file);
    const name = voice ? words.files.voice : nameOf(file);
    const play = button(words.files.play(isolate(name)), () => void this.#toggle(file), { sign: icon("play"), class: "play", disabled: !id });
    const seek = element("input", {
      type: "range", min: 0, max: 0, step: 0.1, value: 0, disabled: true, "aria-label": words.files.position,
      oninput: (/** @type {Event} */ event) => this.#seek(id, Number(/** @type {HTMLInputElement} */ (event.target).value)),
      onkeydown: (/** @type {KeyboardEvent} */ event) => event.stopPropagation(), // its arrow keys do not leave the message
    });
    const speed = button(words.files.speed("1"), () => this.#faster(), { sign: "1×", class: "quiet speed", hidden: true });
    const node = element(
      "div",
      { class: voice ? "sound voice" : "sound", role: "group", "aria-label": `${isolate(name)}, ${size(file.size)}`, "data-sound": id },
      play,
      element("span", { class: "name" }, element("bdi", {}, name)),
      seek,
      element("span", { class: "about" }),
      speed,
    );
    node.dataset.size = String(file.size);
    this.#show(node);
    if (voice && id && !this.#lengths.has(id) && file.size <= VOICE_BYTES) whenNear(node, () => void this.#measure(file).catch(() => {}));
    return node;
  }

  /** @param {FileView} file */
  async #toggle(file) {
    const id = file.attachmentId ?? "";
    if (this.#id === id && !this.#audio.paused) return this.#audio.pause();
    try {
      this.#failed = "";
      if (this.#id !== id) {
        this.#audio.pause();
        this.#id = id;
        this.#shown();
        const url = await this.#measure(file);
        if (this.#id !== id) return; // another one was begun meanwhile
        this.#audio.src = url;
      }
      await this.#audio.play();
    } catch (error) {
      if (this.#id !== id || /** @type {Error} */ (error).name === "AbortError") return;
      this.#id = "";
      this.#failed = id;
    }
    this.#shown(id);
  }

  /** Load a sound, find out how long it is, and return its address. @param {FileView} file */
  async #measure(file) {
    const id = file.attachmentId ?? "";
    const url = await this.blobs.url(file);
    if (!this.#lengths.has(id)) this.#lengths.set(id, await lengthOf(url));
    this.#shown(id);
    return url;
  }

  /** @param {string} id @param {number} seconds */
  #seek(id, seconds) {
    if (this.#id === id) this.#audio.currentTime = seconds;
  }

  #faster() {
    const { playbackRate } = this.#audio;
    const next = SPEEDS[(SPEEDS.indexOf(playbackRate) + 1) % SPEEDS.length] ?? 1;
    this.#audio.playbackRate = this.#audio.defaultPlaybackRate = next;
  }

  /** Bring all that is drawn of a sound up to date. @param {string} [id] the one that plays, by default */
  #shown(id) {
    const all = /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll(".sound"));
    for (const node of all) if (!id || node.dataset.sound === id) this.#show(node);
  }

  /** @param {HTMLElement} node */
  #show(node) {
    const { sound: id = "", size: bytes } = node.dataset;
    const on = id !== "" && id === this.#id;
    const playing = on && !this.#audio.paused;
    const length = this.#lengths.get(id) ?? 0;
    const at = on ? Math.min(this.#audio.currentTime, length || Infinity) : 0;
    const [play, , seek, about, speed] = /** @type {[HTMLElement, Element, HTMLInputElement, HTMLElement, HTMLElement]} */ (
      /** @type {unknown} */ ([...node.children])
    );
    const name = isolate(node.querySelector(".name")?.textContent ?? "");
    const label = playing ? words.files.pause(name) : words.files.play(name);
    if (play.getAttribute("aria-label") !== label) {
      play.setAttribute("aria-label", label);
      play.title = label;
      fill(play, icon(playing ? "pause" : "play"));
    }
    seek.max = String(length);
    seek.value = String(at);
    seek.disabled = !on || length === 0;
    seek.setAttribute("aria-valuetext", words.files.positionOf(time(at), time(Math.ceil(length))));
    seek.style.setProperty("--part", length ? `${(100 * at) / length}%` : "0%");
    const told = this.#failed === id && id ? words.files.notPlayed : on ? `${time(at)} / ${time(Math.ceil(length))}` : length ? time(Math.ceil(length)) : size(Number(bytes));
    if (about.textContent !== told) fill(about, told);
    speed.hidden = !on;
    const rate = RATE.format(this.#audio.playbackRate);
    speed.setAttribute("aria-label", words.files.speed(rate));
    fill(speed, `${rate}×`);
  }
}

/** Return how long a recording is, in seconds; 0 where it cannot be told. Recorders of browsers do not write it down. @param {string} url */
function lengthOf(url) {
  const probe = new Audio();
  probe.preload = "metadata";
  return /** @type {Promise<number>} */ (
    new Promise((resolve, reject) => {
      const end = (/** @type {number} */ seconds) => (clearTimeout(timer), probe.removeAttribute("src"), resolve(seconds));
      const timer = setTimeout(() => end(0), MEASURE_MILLISECONDS);
      probe.addEventListener("loadedmetadata", () => probe.duration === Infinity && (probe.currentTime = END));
      probe.addEventListener("durationchange", () => Number.isFinite(probe.duration) && end(probe.duration));
      probe.addEventListener("error", () => (clearTimeout(timer), reject(probe.error ?? new Error("no sound"))), { once: true });
      probe.src = url;
    })
  );
}

/** Return a position as a clock shows it. @param {number} seconds */
export function time(seconds) {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}
