/** The sound of a message: two short, quiet tones, made here. */

const GAIN = 0.06;
/** Frequencies in Hz, and when they begin, in seconds. */
const TONES = /** @type {const} */ ([[660, 0], [880, 0.09]]);
const TONE_SECONDS = 0.22;

/** @type {AudioContext | null} */
let context = null;

/** Play it. Before somebody pressed anything on the page, browsers keep it silent. */
export function chime() {
  if (!globalThis.AudioContext || navigator.userActivation?.hasBeenActive === false) return;
  context ??= new AudioContext();
  void context.resume().catch(() => {}); // the browser does not allow it
  for (const [frequency, after] of TONES) tone(context, frequency, context.currentTime + after);
}

/** @param {AudioContext} audio @param {number} frequency @param {number} at */
function tone(audio, frequency, at) {
  const [oscillator, gain] = [audio.createOscillator(), audio.createGain()];
  oscillator.frequency.value = frequency;
  gain.gain.setValueAtTime(0, at);
  gain.gain.linearRampToValueAtTime(GAIN, at + 0.015);
  gain.gain.exponentialRampToValueAtTime(0.0001, at + TONE_SECONDS);
  oscillator.connect(gain).connect(audio.destination);
  oscillator.start(at);
  oscillator.stop(at + TONE_SECONDS);
}
