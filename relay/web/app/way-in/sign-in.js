/** The way in: to sign in, to join by an invitation, or to become the first user by the link that the server printed. */

import { RestApiClient } from "../../sdk/rest-api-client.js"; // and not all of the SDK: this is the first view
import { MAX_NAME } from "../../sdk/protocol.js";
import { button, element, fill } from "../dom.js";
import { fieldOf, problem } from "../problems.js";
import { BASE, keepSession } from "../session.js";
import { chooseLanguage, language, LANGUAGES, words } from "../words.js";
import { FormField, tellRefusal } from "./form-field.js";
import { ACTION, LINK } from "./fragments.js";
import { OtherWays, takeBack } from "./other-ways.js";

/** @typedef {"sign-in" | "join" | "setup"} Way */
/** @import { Back, SignInWay } from "./other-ways.js" */
/**
 * @typedef {object} Access the answer of `GET /api/registration`
 * @property {"open" | "invite" | "domain" | "closed"} registration
 * @property {boolean} first
 * @property {number} password_min_length
 * @property {boolean} password_login
 * @property {SignInWay[]} ways
 * @property {boolean} [mail]
 * @property {string[]} [mail_domains]
 */

/** The same at the end of an address that was pasted, or the code alone. */
const PASTED = /^(?:.*#(?:setup|invite)=)?([\w-]+)$/;
/** Refusals that a code of a second factor follows. */
const STEPS = new Set(["second_factor", "second_factor_setup"]);
/** What the form may wait for: an older server has no such call. */
const UNKNOWN = { registration: /** @type {const} */ ("invite"), first: false, password_min_length: 8, password_login: true, ways: [] };

/**
 * Show the form; resolves once a user is signed in.
 *
 * @param {HTMLElement} place
 * @param {string} [notice] why the last session ended
 * @returns {Promise<void>}
 */
export function signIn(place, notice = "") {
  return new Promise((resolve) => {
    const begin = (/** @type {string} */ told) => {
      const [, way, code] = location.hash.match(LINK) ?? [];
      new Form(place, way === "setup" ? "setup" : way ? "join" : "sign-in", code ?? "", told, entered, takeBack());
    };
    // Opening a link in a tab that already shows the page changes only the fragment.
    const opened = () => (ACTION.test(location.hash) ? location.reload() : LINK.test(location.hash) && begin(""));
    const entered = () => {
      removeEventListener("hashchange", opened);
      history.replaceState(null, "", location.pathname); // the code is used up, and must not stay visible
      resolve();
    };
    addEventListener("hashchange", opened);
    begin(notice);
  });
}

class Form {
  /** @type {FormField[]} */
  #fields = [];
  /** @type {Access} */
  #access = UNKNOWN;
  #ways = new OtherWays();

  /**
   * @param {HTMLElement} place
   * @param {Way} way
   * @param {string} code of the invitation, where a link brought it
   * @param {string} notice
   * @param {() => void} entered
   * @param {Back | null} [back] what another way of signing in brought back
   */
  constructor(place, way, code, notice, entered, back = null) {
    this.place = place;
    this.way = way;
    this.code = code;
    this.entered = entered;
    this.failure = element("p", { class: "failure", role: "alert" }, notice);
    this.told = element("p", { class: "told", role: "status", hidden: true });
    this.others = element("div", { class: "others" });
    this.send = element("button", { class: "primary" }, words.wayIn[way].submit);
    const { title, intro } = words.wayIn[way];
    this.#fields = this.#makeFields();
    const form = element(
      "form",
      { class: "card", novalidate: true, onsubmit: (/** @type {Event} */ event) => (event.preventDefault(), void this.#enter()) },
      logo(),
      element("h1", {}, title),
      intro && element("p", { class: "intro" }, intro),
      this.told,
      ...this.#fields.map(({ node }) => node),
      this.failure,
      this.send,
      this.#ways.node,
      this.others,
    );
    const { typed, at } = takeTyped(place);
    fill(place, element("main", { class: "way-in" }, form, this.#languages()));
    for (const field of this.#fields) field.input.value ||= typed[field.name] ?? "";
    const next = this.#fields.find(({ name }) => name === at) ?? this.#fields.find(({ input }) => !input.value) ?? this.#fields[0];
    next.input.focus();
    this.#drawOthers();
    this.asked = this.#ask();
    if (back) void this.asked.then(() => this.#comeBack(back));
  }

  /** Ask the server how one gets an account, and fit the form to it. */
  async #ask() {
    const rest = new RestApiClient(BASE);
    this.#access = { ...UNKNOWN, ...(await rest.request("GET", "/api/registration").catch(() => UNKNOWN)) };
    const { registration, first, password_min_length: least, password_login: byPassword, ways } = this.#access;
    const alone = !byPassword && this.way !== "setup";
    for (const { node } of this.#fields) node.hidden = alone;
    this.send.hidden = alone;
    if (this.way === "sign-in" || alone) this.#ways.show(ways, alone);
    this.told.hidden = !(first && this.way !== "setup");
    fill(this.told, words.wayIn.nobodyYet);
    const password = this.#field("password");
    if (this.way !== "sign-in") password.help(words.wayIn.passwordHint(least));
    const invite = this.#fields.find(({ name }) => name === "invite");
    if (invite) invite.node.hidden = registration === "open";
    this.#drawOthers();
  }

  /** Sign in who comes back from another way. @param {Back} back */
  async #comeBack(back) {
    try {
      const came = await this.#ways.enter(back, this.#access.ways);
      if ("login" in came) {
        keepSession(came.login);
        return this.entered();
      }
      this.told.hidden = false;
      fill(this.told, came.told);
      this.#field("user_id").input.value = came.userId;
      this.#field("password").input.focus();
    } catch (error) {
      fill(this.failure, problem(error));
    }
  }

  #makeFields() {
    const joins = this.way !== "sign-in";
    const made = [
      new FormField("user_id", words.wayIn.name, {
        autocomplete: "username", autocapitalize: "none", maxlength: MAX_NAME, spellcheck: "false", required: true,
      }),
      joins && new FormField("display_name", words.wayIn.shownAs, { maxlength: 100, autocomplete: "name", dir: "auto" }),
      new FormField("password", words.wayIn.password, {
        type: "password", autocomplete: joins ? "new-password" : "current-password", required: true,
      }),
      joins && !this.code && new FormField("invite", words.wayIn.invitation, { autocomplete: "off", spellcheck: "false" }),
    ].filter((one) => one !== false);
    const [name, shown] = made;
    if (joins) name.help(words.wayIn.nameHint);
    if (joins) shown.help(words.wayIn.shownAsHint);
    return made;
  }

  /** @param {string} name @returns {FormField} */
  #field(name) {
    return /** @type {FormField} */ (this.#fields.find((one) => one.name === name));
  }

  async #enter() {
    if (!this.#check()) return;
    const given = Object.fromEntries(this.#fields.map(({ name, value }) => [name, value]).filter(([, value]) => value !== ""));
    const invite = this.code || given.invite?.match(PASTED)?.[1] || given.invite;
    if (invite) given.invite = invite;
    this.send.disabled = true;
    fill(this.failure);
    const body = /** @type {any} */ (given);
    try {
      const rest = new RestApiClient(BASE);
      const login = await (this.way === "sign-in" ? rest.login(body) : rest.register(body));
      await this.#ways.connect(login);
      keepSession(login);
      this.entered();
    } catch (error) {
      if (STEPS.has(/** @type {any} */ (error)?.details?.reason)) return this.#secondStep(body, error);
      this.#refused(error);
      this.send.disabled = false;
    }
  }

  /** Ask for the code of a second factor. @param {{ user_id: string, password: string }} body @param {any} refusal */
  async #secondStep(body, refusal) {
    const { askForCode } = await import("./second-factor.js");
    const login = await askForCode(this.place, body, refusal);
    if (!login) return void new Form(this.place, "sign-in", "", "", this.entered);
    try {
      await this.#ways.connect(login);
    } catch (error) {
      return void new Form(this.place, "sign-in", "", problem(error), this.entered);
    }
    keepSession(login);
    this.entered();
  }

  /** Say next to each field what is missing or cannot be right; tells whether all may be. */
  #check() {
    const { password_min_length: least, registration } = this.#access;
    for (const field of this.#fields) {
      const { name, value, input } = field;
      const missing = input.required && value === "";
      const short = name === "password" && this.way !== "sign-in" && [...value].length < least;
      const uninvited = name === "invite" && value === "" && registration !== "open" && this.way === "join";
      field.tell(missing ? words.wayIn.missing(field.label) : short ? words.wayIn.passwordHint(least) : uninvited ? words.wayIn.invitationNeeded : "");
    }
    const wrong = this.#fields.find(({ isWrong }) => isWrong);
    wrong?.input.focus();
    return !wrong;
  }

  /** @param {any} error */
  #refused(error) {
    const reason = error?.details?.reason;
    const about = { name_taken: "user_id", name_form: "user_id", bad_invite: "invite", password_length: "password" };
    const name = /** @type {Record<string, string>} */ (about)[reason] ?? (error?.code === "conflict" ? "user_id" : fieldOf(error));
    tellRefusal(this.#fields, this.failure, error, name)?.input.focus();
  }

  #drawOthers() {
    const { registration, password_login: byPassword, mail_domains: domains = [] } = this.#access;
    const other = (/** @type {Way} */ way) => new Form(this.place, way, "", "", this.entered);
    const label = registration === "open" ? words.wayIn.createAccount : words.wayIn.haveInvitation;
    const again = () => other("sign-in");
    const forgot = async () => {
      await this.asked; // who is quick must not be told to ask an administrator where a mail does it
      if (this.#access.mail) (await import("./links.js")).forgotten(this.place, again);
      else forgotten.hidden = !forgotten.hidden;
    };
    const byMail = async () => (await import("./links.js")).joinByMail(this.place, domains, { back: again, invited: () => other("join") });
    const forgotten = element("p", { class: "forgotten", hidden: true, role: "status" }, words.wayIn.forgottenHow);
    if (this.way === "setup" || !byPassword) return fill(this.others);
    if (this.way === "join") return fill(this.others, button(words.wayIn.haveAccount, () => other("sign-in"), { class: "link" }));
    fill(
      this.others,
      registration === "domain" && button(words.wayIn.createAccount, () => void byMail(), { class: "link" }),
      !["closed", "domain"].includes(registration) && button(label, () => other("join"), { class: "link" }),
      button(words.wayIn.forgotten, () => void forgot(), { class: "link" }),
      forgotten,
    );
  }

  #languages() {
    const choice = (/** @type {string} */ one) =>
      button(LANGUAGES[one], () => chooseLanguage(one), { class: "link", lang: one, "aria-pressed": String(one === language) });
    return element("div", { class: "languages", role: "group", "aria-label": words.wayIn.language }, ...Object.keys(LANGUAGES).map(choice));
  }
}

/**
 * Return what was typed into the document's own form before the scripts were there, by the fields' names, and the field in which
 * somebody is just typing.
 *
 * @param {HTMLElement} place
 * @returns {{ typed: Record<string, string>, at: string }}
 */
function takeTyped(place) {
  const inputs = [.../** @type {NodeListOf<HTMLInputElement>} */ (place.querySelectorAll(".early input"))];
  const at = inputs.find((one) => one === document.activeElement)?.name ?? "";
  return { typed: Object.fromEntries(inputs.map(({ name, value }) => [name, value])), at };
}

export function logo() {
  return element("img", { src: `${BASE}/app/icon.svg`, alt: "", class: "logo", width: 48, height: 48 });
}
