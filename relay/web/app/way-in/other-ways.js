/**
 * Other ways of signing in than by a password, which plugins bring: a button each, and the way back from them. A way leads the
 * browser away and back to this page, at `#way=NAME:CODE` or `#way-failed=REASON`; the code is exchanged for a login.
 */

import { RestApiClient } from "../../sdk/rest-api-client.js";
import { button, element, fill } from "../dom.js";
import { isolate } from "../format.js";
import { BASE } from "../session.js";
import { words } from "../words.js";

/** @typedef {{ name: string, title: string, path: string, linkable: boolean }} SignInWay one of `ways` of `GET /api/registration` */
/** @typedef {{ name: string, code: string, reason: "" } | { name: "", code: "", reason: string }} Back */

const BACK = /^#way=([a-z0-9_-]+):([\w-]+)$/;
const FAILED = /^#way-failed=(\w+)$/;

/** Take what a way brought back out of the address, where it must not stay visible. @returns {Back | null} */
export function takeBack() {
  const [, name, code] = location.hash.match(BACK) ?? [];
  const [, reason] = location.hash.match(FAILED) ?? [];
  if (!code && !reason) return null;
  history.replaceState(null, "", location.pathname);
  return code ? { name, code, reason: "" } : { name: "", code: "", reason };
}

/** Return why a way failed, as an error that `problem` has words for. @param {string} reason of the address: it may be anybody's */
export function failureOf(reason) {
  const known = Object.hasOwn(words.errors.reasons, reason);
  return Object.assign(new Error(words.wayIn.wayFailed), { code: "way_failed", details: known ? { reason } : {} });
}

/** The buttons of the other ways on the sign-in form, and who comes back from one. */
export class OtherWays {
  node = element("div", { class: "ways", hidden: true });
  /** Whose account is to be connected, once they have signed in by their password. @type {{ way: SignInWay, code: string } | null} */
  #waiting = null;

  /** @param {SignInWay[]} ways @param {boolean} alone whether there is no password's form above them */
  show(ways, alone) {
    const go = (/** @type {SignInWay} */ way) => location.assign(`${BASE}${way.path}/start`);
    const buttons = ways.map((way) => button(words.wayIn.signInBy(isolate(way.title)), () => go(way), { class: alone ? "primary" : "" }));
    this.node.hidden = ways.length === 0;
    fill(this.node, !alone && element("p", { class: "or" }, element("span", {}, words.wayIn.or)), ...buttons);
  }

  /**
   * Exchange what a way brought back for a login.
   *
   * @param {Back} back
   * @param {SignInWay[]} ways
   * @returns {Promise<{ login: any } | { told: string, userId: string }>} told: what to do before, as a sentence
   */
  async enter(back, ways) {
    const way = ways.find(({ name }) => name === back.name);
    if (!way) throw failureOf(back.reason);
    try {
      return { login: await new RestApiClient(BASE).request("POST", `${way.path}/finish`, { body: { code: back.code } }) };
    } catch (error) {
      const { reason, user_id: userId } = /** @type {any} */ (error).details ?? {};
      if (reason !== "sso_needs_link") throw error;
      this.#waiting = { way, code: back.code };
      return { told: words.wayIn.connectFirst(isolate(userId), isolate(way.title)), userId };
    }
  }

  /**
   * Connect the account of who has just signed in by a password, where that was waited for. Where it cannot be, the login is given
   * back, so that the form can say why; the next one signs in alone.
   *
   * @param {{ token: string }} login
   */
  async connect({ token }) {
    const waiting = this.#waiting;
    this.#waiting = null;
    if (!waiting) return;
    const rest = new RestApiClient(BASE, token);
    try {
      await rest.request("POST", `${waiting.way.path}/link`, { body: { code: waiting.code } });
    } catch (error) {
      await rest.logout().catch(() => {});
      throw error;
    }
  }
}
