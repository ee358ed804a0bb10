/**
 * The administration, at `/admin`: the same page for those who look after the server. It speaks REST alone, so that whatever it can
 * do, a program can do as well. Where one is stands in the address: `#/users/alice`, `#/audit?by=alice`.
 */

import { RestApiClient } from "../../sdk/index.js";
import { element, fill, icon } from "../dom.js";
import { straight } from "../format.js";
import { Notices } from "../notices/notices.js";
import { avatar } from "../people/avatar.js";
import { problem } from "../problems.js";
import { BASE } from "../session.js";
import { words } from "../words.js";
import { hashTo, readPlace } from "./place.js";
import { endPluginSections, loadPluginSections } from "./plugin-sections.js";
import { SECTIONS } from "./sections.js";
import { texts } from "./texts.js";

/** @import { Session } from "../session.js" */
/** @import { Section } from "./sections.js" */

/** From the least to the most that one may do. */
export const ROLES = /** @type {const} */ (["guest", "member", "moderator", "admin", "owner"]);

export class Administration {
  /** Ends what the shown section has begun. */
  #running = new AbortController();
  #shown = 0;
  #main = element("main", { class: "admin-main", tabindex: "0" });
  #nav = element("nav", { class: "admin-nav", "aria-label": texts.sections });
  /** @type {() => void} */
  #end = () => {};
  /** Sections of plugins, once they are loaded. @type {Section[]} */
  #added = [];
  /** @type {any} this user, as `/api/users/me` has them */
  me = null;

  /**
   * @param {Session} session
   * @param {{ ending: (why?: string) => void, ended: () => void }} events as the messenger's
   */
  constructor(session, events) {
    this.session = session;
    this.events = events;
    this.rest = new RestApiClient(BASE, session.token);
    this.notices = new Notices();
  }

  /** Aborted when another section is shown. */
  get signal() {
    return this.#running.signal;
  }

  /** @param {HTMLElement} place */
  async show(place) {
    document.title = texts.title;
    document.body.classList.add("administration");
    try {
      this.me = await this.rest.request("GET", "/api/users/me");
    } catch (error) {
      if (this.#isOver(error)) return this.#signedOut(error);
      return void fill(place, this.#frame(element("p", { class: "failure", role: "alert" }, problem(error))));
    }
    if (this.sections.length === 0) return void fill(place, this.#frame(refusal()), this.notices.node);
    const adding = this.may("admin") ? loadPluginSections(this) : [];
    this.#drawNav();
    fill(place, this.#frame(this.#nav, this.#main), this.notices.node);
    const moved = () => void this.#go();
    addEventListener("hashchange", moved);
    this.#end = () => removeEventListener("hashchange", moved);
    // A section of a plugin's that the address names is shown at once, and not the first one before it.
    if (!readPlace(location.hash).section.startsWith("plugin-")) moved();
    this.#added = await adding;
    if (this.signal.aborted) return; // signed out meanwhile
    this.#drawNav();
    const { section } = readPlace(location.hash);
    const named = this.#added.some(({ id }) => id === section); // perhaps since they began to load
    if (named || this.#shown === 0) moved();
    else this.#mark(this.#main.dataset.section ?? "");
  }

  #drawNav() {
    fill(this.#nav, element("ul", {}, ...this.sections.map(link)));
  }

  /** Mark a section as the shown one. @param {string} id */
  #mark(id) {
    for (const one of this.#nav.querySelectorAll("a")) {
      if (one.dataset.section === id) {
        one.setAttribute("aria-current", "page");
        one.scrollIntoView({ block: "nearest", inline: "nearest" });
      } else one.removeAttribute("aria-current");
    }
  }

  /** The sections that this user's role lets them see. @returns {Section[]} */
  get sections() {
    return [...SECTIONS, ...this.#added].filter(({ least }) => this.may(least));
  }

  /** Tell whether this user has at least a role. @param {(typeof ROLES)[number]} least */
  may(least) {
    return ROLES.indexOf(this.me?.role ?? "member") >= ROLES.indexOf(least);
  }

  /** The roles that this user may give: owners each, admins those below their own. @returns {(typeof ROLES)[number][]} */
  get givable() {
    return ROLES.filter((role) => this.may("owner") || (this.may("admin") && ROLES.indexOf(role) < ROLES.indexOf("admin")));
  }

  /** Tell whether this user may change the account of somebody with a role. @param {(typeof ROLES)[number]} role */
  mayManage(role) {
    return this.givable.includes(role);
  }

  /**
   * Ask the server; the answer is dropped when another section is shown meanwhile.
   *
   * @param {string} path
   * @param {Record<string, any>} [query]
   * @param {AbortSignal} [signal]
   */
  async get(path, query, signal = this.signal) {
    return this.#call(this.rest.request("GET", path, { query, signal }));
  }

  /** Change something. @param {"POST" | "PUT" | "PATCH" | "DELETE"} method @param {string} path @param {Record<string, any>} [body] */
  async send(method, path, body) {
    return this.#call(this.rest.request(method, path, body && { body }));
  }

  /** Show an error. @param {unknown} error */
  failed = (error) => this.notices.failed(error);

  /** Draw the shown section anew, as something in it was changed. */
  again() {
    void this.#go();
  }

  /** @param {Promise<any>} answer */
  async #call(answer) {
    try {
      return await answer;
    } catch (error) {
      // What is refused may be this act alone, or everything by now.
      const refused = [401, 403].includes(/** @type {any} */ (error)?.status);
      const told = refused ? await this.rest.request("GET", "/api/users/me").then(() => null, (why) => why) : null;
      if (!this.#isOver(told)) throw error;
      this.#signedOut(told);
      throw new DOMException("", "AbortError");
    }
  }

  /** Tell whether the server says that the session has ended. @param {unknown} error what it answers to who asks for themselves */
  #isOver(error) {
    return [401, 403].includes(/** @type {any} */ (error)?.status);
  }

  /** Show the sign-in form, with the reason. @param {unknown} error */
  #signedOut(error) {
    this.#leave();
    this.events.ending(words.notices.signedOut(problem(error)));
    this.events.ended();
  }

  #leave() {
    this.#end();
    this.#running.abort();
    this.notices.close();
    endPluginSections();
    document.body.classList.remove("administration");
    for (const dialog of document.querySelectorAll("dialog")) dialog.close();
  }

  async #go() {
    const mine = ++this.#shown;
    this.#running.abort();
    this.#running = new AbortController();
    for (const dialog of document.querySelectorAll("dialog")) dialog.close();
    const place = readPlace(location.hash);
    const section = this.sections.find(({ id }) => id === place.section) ?? this.sections[0];
    this.#mark(section.id);
    const title = titleOf(section);
    document.title = `${title} · ${texts.title}`;
    const module = await section.load().catch(() => null);
    if (mine !== this.#shown) return;
    const drawn = module ? module.draw(this, place) : element("p", { class: "failure", role: "alert" }, words.errors.codes.offline);
    const before = this.#main.dataset.section;
    this.#main.dataset.section = section.id;
    fill(this.#main, ...[drawn].flat());
    this.#main.scrollTop = 0;
    if (before && before !== section.id) this.#main.focus({ preventScroll: true });
  }

  /** @param {...Node} inside */
  #frame(...inside) {
    const name = straight(this.me?.display_name ?? this.session.userId);
    return element(
      "div",
      { class: "admin-frame" },
      element(
        "header",
        { class: "admin-head" },
        element("img", { src: `${BASE}/app/icon.svg`, alt: "", width: "28", height: "28" }),
        element("h1", {}, texts.title),
        element("a", { href: `${BASE}/`, class: "with-icon" }, icon("back"), element("span", {}, texts.toMessages)),
        element("span", { class: "admin-me", title: name }, avatar(this.session.userId, name)),
      ),
      ...inside,
    );
  }
}

/** @param {Section} section */
function titleOf({ id, title }) {
  return title ?? texts[/** @type {"users"} */ (id)].title;
}

/** @param {Section} section */
function link(section) {
  const { id, icon: sign } = section;
  return element("li", {}, element("a", { href: hashTo(id), "data-section": id }, icon(sign), element("span", {}, titleOf(section))));
}

/** Say that this is for others. */
function refusal() {
  return element("main", { class: "admin-main" }, element("h2", {}, texts.notYours), element("p", {}, texts.notYoursWhy));
}
