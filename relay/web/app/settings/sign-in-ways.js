/** The ways of signing in that one's account is connected with, besides the password. */

import { ask, button, element, fill, icon } from "../dom.js";
import { isolate, moment } from "../format.js";
import { problem } from "../problems.js";
import { failureOf } from "../way-in/other-ways.js";
import { words } from "../words.js";
import { loaded } from "./parts.js";

/** @import { Messenger } from "../messenger.js" */
/** @import { Back, SignInWay } from "../way-in/other-ways.js" */
/** @typedef {{ linked: boolean, shown: string | null, linked_at: number | null, used_at: number | null }} Link */

const texts = words.settings.ways;
/** The way that this tab is connecting the account with: only who began that here is connected when they come back. */
const CONNECTING = "relay.connecting";

/** Return the ways that an account can be connected with. @param {Messenger} messenger @returns {Promise<SignInWay[]>} */
export async function linkable({ messaging: { restApi } }) {
  const { ways = [] } = await restApi.request("GET", "/api/registration");
  return ways.filter((/** @type {SignInWay} */ way) => way.linkable);
}

/** @param {Messenger} messenger */
export function draw(messenger) {
  const { restApi } = messenger.messaging;
  const failure = element("p", { class: "failure", role: "alert" });

  const place = loaded(
    async () => {
      const ways = await linkable(messenger);
      /** @type {Link[]} */
      const links = await Promise.all(ways.map((way) => restApi.request("GET", `${way.path}/link`)));
      return ways.map((way, at) => ({ way, link: links[at] }));
    },
    (found, again) => element("ul", { class: "devices" }, ...found.map(({ way, link }) => line(way, link, again))),
  );

  /** @param {SignInWay} way @param {Link} link @param {() => void} again */
  function line(way, link, again) {
    const told = link.linked ? texts.connected(isolate(link.shown ?? ""), moment(link.linked_at ?? 0)) : texts.notConnected;
    const press = link.linked
      ? button(texts.disconnect, () => void disconnect(way, again), { class: "danger" })
      : button(texts.connect, () => void connect(way));
    return element(
      "li",
      {},
      icon("key"),
      element("div", { class: "about" }, element("strong", { dir: "auto" }, way.title), element("small", { class: "note" }, told)),
      press,
    );
  }

  /** @param {SignInWay} way */
  async function connect(way) {
    fill(failure);
    try {
      const { url } = await restApi.request("POST", `${way.path}/link/start`);
      sessionStorage.setItem(CONNECTING, way.name);
      location.assign(url);
    } catch (error) {
      fill(failure, problem(error));
    }
  }

  /** @param {SignInWay} way @param {() => void} again */
  async function disconnect(way, again) {
    if (!(await ask(texts.disconnectQuestion(isolate(way.title)), texts.disconnect))) return;
    fill(failure);
    try {
      await restApi.request("DELETE", `${way.path}/link`);
    } catch (error) {
      fill(failure, problem(error));
    }
    again();
  }

  return [element("p", { class: "intro" }, texts.intro), failure, place];
}

/**
 * Connect the account of a signed-in user who comes back from a way, if they began that in this tab.
 *
 * @param {Messenger} messenger
 * @param {Back} back
 */
export async function comeBack(messenger, back) {
  const began = sessionStorage.getItem(CONNECTING);
  sessionStorage.removeItem(CONNECTING);
  if (!began || (back.name && back.name !== began)) return;
  try {
    if (back.reason) throw failureOf(back.reason);
    const way = (await linkable(messenger)).find(({ name }) => name === began);
    if (!way) throw failureOf("");
    await messenger.messaging.restApi.request("POST", `${way.path}/link`, { body: { code: back.code } });
    messenger.notices.say(texts.title, texts.done(isolate(way.title)));
  } catch (error) {
    messenger.notices.say(texts.failed, problem(error), { level: "error" });
  }
}
