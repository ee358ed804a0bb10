/** One's devices: where one is signed in, and the end of a session there. */

import { ask, button, element, fill, icon } from "../dom.js";
import { ago, moment } from "../format.js";
import { problem } from "../problems.js";
import { words } from "../words.js";
import { loaded } from "./parts.js";
import { drawTokens } from "./tokens.js";

/** @import { Messenger } from "../messenger.js" */
/** @import { Device } from "../../sdk/types.js" */

const texts = words.settings.devices;
const BROWSERS = /** @type {const} */ ([
  [/\bEdg(?:A|iOS)?\//, "Edge"], [/\bOPR\//, "Opera"], [/\bSamsungBrowser\//, "Samsung Internet"],
  [/\b(?:Firefox|FxiOS)\//, "Firefox"], [/\bElectron\//, "relay"], [/(?:Chrome|CriOS)\//, "Chrome"], [/\bSafari\//, "Safari"],
]);
const SYSTEMS = /** @type {const} */ ([
  [/\b(?:iPhone|iPad|iPod)\b/, "iOS"], [/\bAndroid\b/, "Android"], [/\bWindows\b/, "Windows"], [/\bMac OS X\b/, "macOS"],
  [/\bCrOS\b/, "ChromeOS"], [/\bLinux\b/, "Linux"],
]);

/** @param {Messenger} messenger */
export function draw(messenger) {
  const failure = element("p", { class: "failure", role: "alert" });
  const done = element("p", { class: "told", role: "status" });
  const { restApi } = messenger.messaging;
  const own = messenger.socket.clientId;

  /** @param {string} question @param {Device[]} devices @param {() => void} again */
  async function end(question, devices, again) {
    if (!(await ask(question, texts.end))) return;
    fill(failure);
    fill(done);
    try {
      for (const { client_id: id } of devices) await restApi.revokeDevice(id);
      fill(done, texts.ended);
    } catch (error) {
      fill(failure, problem(error));
    }
    again();
  }

  const place = loaded(
    () => all(messenger),
    (devices, again) => {
      const others = devices.filter(({ client_id: id }) => id !== own);
      devices.sort((one, other) => Number(other.client_id === own) - Number(one.client_id === own) || other.seen_at - one.seen_at);
      const list = element("ul", { class: "devices" }, ...devices.map((device) => line(device, device.client_id === own, () => void end(texts.endQuestion(nameOf(device)), [device], again))));
      const every = button(texts.others, () => void end(texts.othersQuestion, others, again), { class: "danger" });
      return [list, element("p", { class: "choices" }, others.length > 0 ? every : element("span", { class: "note" }, texts.only))];
    },
  );
  return [element("p", { class: "intro" }, texts.intro), failure, done, place, drawTokens(messenger)];
}

/** @param {Messenger} messenger @returns {Promise<Device[]>} */
async function all({ messaging: { restApi } }) {
  /** @type {Device[]} */
  const found = [];
  /** @type {string | null} */
  let cursor = null;
  do {
    const page = await restApi.getDevices(cursor ? { cursor } : {});
    found.push(...page.devices);
    cursor = page.has_more ? page.next_cursor : null;
  } while (cursor);
  return found;
}

/**
 * @param {Device} device
 * @param {boolean} isThis
 * @param {() => void} end
 */
function line(device, isThis, end) {
  const name = nameOf(device);
  const seen = device.connected ? texts.connected : texts.seen(ago(device.seen_at));
  return element(
    "li",
    {},
    icon("device"),
    element(
      "div",
      { class: "about" },
      element("strong", {}, element("bdi", {}, name)),
      isThis && element("span", { class: "this" }, texts.this),
      element("small", {}, `${seen} · ${texts.since(moment(device.created_at))}`),
    ),
    !isThis && button(texts.endOf(name), end, { sign: texts.end, class: "link" }),
  );
}

/**
 * Return what a device is called: its browser and system, else the name that a program gave itself.
 *
 * @param {Device} device
 */
export function nameOf({ agent, client_id: id }) {
  const browser = BROWSERS.find(([sign]) => sign.test(agent ?? ""))?.[1];
  const system = SYSTEMS.find(([sign]) => sign.test(agent ?? ""))?.[1];
  if (browser && system) return texts.onSystem(browser, system);
  return browser ?? system ?? (/^[a-z]+_[0-9a-f]{8,}|^[0-9a-f-]{20,}$/.test(id) ? texts.unnamed : id);
}
