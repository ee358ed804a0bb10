/** A voice message: recorded here, heard before it is sent, and then a file like any other. */

import { button, element, fill, icon } from "../dom.js";
import { words } from "../words.js";

/** What browsers record, the best first. Opus in WebM is played by all but old ones of Apple's, which record MP4. */
const TYPES = ["audio/webm;codecs=opus", "audio/mp4", "audio/ogg;codecs=opus"];
const ENDINGS = { "audio/webm": "webm", "audio/mp4": "m4a", "audio/ogg": "ogg" };
const MAX_SECONDS = 60 * 60;
const BITS_PER_SECOND = 32_000;

/** Tell whether this browser records: pages without TLS may not. */
export function canRecord() {
  return Boolean(globalThis.navigator?.mediaDevices) && "MediaRecorder" in globalThis;
}

/** @param {number} seconds */
export function clockOf(seconds) {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

export class VoiceRecorder {
  /** @type {MediaStream | null} */
  #stream = null;
  /** @type {MediaRecorder | null} */
  #recorder = null;
  /** @type {AudioContext | null} */
  #sound = null;
  #frame = 0;
  #startedAt = 0;
  #url = "";
  #over = false;
  #events;

  /**
   * @param {{ send: (file: File) => void, closed: () => void, failed: (text: string) => void }} events
   */
  constructor(events) {
    this.#events = events;
    this.time = element("span", { class: "time", role: "timer" }, clockOf(0));
    this.level = element("meter", { min: 0, max: 1, value: 0, "aria-label": words.composer.level });
    this.node = element("div", { class: "line voice", role: "group", "aria-label": words.composer.voiceMessage });
  }

  /** Ask for the microphone, and record. */
  async begin() {
    const drop = button(words.composer.dropRecording, () => this.close(), { sign: icon("delete"), class: "quiet" });
    fill(this.node, drop, element("span", { class: "asking note" }, words.composer.askingMicrophone));
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
      this.#stream = stream;
      if (this.#over) return this.#release();
      this.#record(stream);
    } catch (error) {
      if (this.#over) return;
      const { name } = /** @type {Error} */ (error);
      const { microphoneRefused, noMicrophone, noRecording } = words.composer;
      const told = name === "NotAllowedError" ? microphoneRefused : name === "NotFoundError" ? noMicrophone : noRecording;
      this.close();
      this.#events.failed(told);
    }
  }

  /** Stop, and drop what was recorded. */
  close() {
    if (this.#over) return;
    this.#over = true;
    if (this.#recorder?.state === "recording") this.#recorder.stop();
    this.#release();
    if (this.#url) URL.revokeObjectURL(this.#url);
    this.node.remove();
    this.#events.closed();
  }

  /** @param {MediaStream} stream */
  #record(stream) {
    const mimeType = TYPES.find((type) => MediaRecorder.isTypeSupported(type));
    const recorder = (this.#recorder = new MediaRecorder(stream, { mimeType, audioBitsPerSecond: BITS_PER_SECOND }));
    /** @type {Blob[]} */
    const parts = [];
    recorder.ondataavailable = ({ data }) => void parts.push(data);
    recorder.onstop = () => this.#over || this.#hear(new Blob(parts, { type: recorder.mimeType.split(";")[0] }));
    recorder.onerror = () => (this.close(), this.#events.failed(words.composer.noRecording));
    recorder.start();
    this.#startedAt = performance.now();
    this.#watch(stream);
    const stop = button(words.composer.stopRecording, () => recorder.stop(), { sign: icon("stop"), class: "primary" });
    const drop = button(words.composer.dropRecording, () => this.close(), { sign: icon("delete"), class: "quiet" });
    fill(this.node, drop, element("span", { class: "recording", "aria-hidden": "true" }), this.time, this.level, stop);
    stop.focus();
  }

  /** Show the time and how loud it is, until it stops. @param {MediaStream} stream */
  #watch(stream) {
    const sound = (this.#sound = new AudioContext());
    const analyser = sound.createAnalyser();
    sound.createMediaStreamSource(stream).connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    const show = () => {
      const seconds = (performance.now() - this.#startedAt) / 1000;
      const text = clockOf(seconds);
      if (this.time.textContent !== text) fill(this.time, text);
      analyser.getFloatTimeDomainData(samples);
      const power = samples.reduce((sum, value) => sum + value * value, 0) / samples.length;
      this.level.value = Math.min(1, Math.sqrt(power) * 4); // speech is at a quarter of full scale
      if (seconds > MAX_SECONDS) this.#recorder?.stop();
      this.#frame = requestAnimationFrame(show);
    };
    show();
  }

  /** Let it be heard before it is sent. @param {Blob} sound */
  #hear(sound) {
    this.#release();
    const file = fileOf(sound);
    this.#url = URL.createObjectURL(sound);
    const send = button(words.composer.send, () => (this.close(), this.#events.send(file)), { sign: icon("send"), class: "primary send" });
    const drop = button(words.composer.dropRecording, () => this.close(), { sign: icon("delete"), class: "quiet" });
    const player = element("audio", { src: this.#url, controls: true, "aria-label": words.composer.voiceMessage });
    fill(this.node, drop, player, send);
    send.focus();
  }

  /** Give the microphone back. */
  #release() {
    cancelAnimationFrame(this.#frame);
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    void this.#sound?.close().catch(() => {}); // it is closed already
    this.#stream = this.#sound = null;
  }
}

/** @param {Blob} sound */
function fileOf(sound) {
  const ending = ENDINGS[/** @type {keyof typeof ENDINGS} */ (sound.type)] ?? "webm";
  const local = new Date(Date.now() - new Date().getTimezoneOffset() * 60_000).toISOString();
  const name = `voice-${local.slice(0, 16).replace("T", "-").replace(":", "")}.${ending}`; // by it the page knows voice messages
  return new File([sound], name, { type: sound.type });
}
