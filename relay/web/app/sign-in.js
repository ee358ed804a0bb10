/** The sign-in form: to sign in, to join by an invitation, or to become the first user by the link that the server printed. */

import { RestApiClient } from "../sdk/index.js";
import { MAX_NAME } from "../sdk/protocol.js";
import { button, element, fill } from "./dom.js";
import { BASE, keepSession } from "./session.js";

/** @typedef {"sign-in" | "join" | "setup"} Way */

const TEXTS = {
  "sign-in": { title: "Sign in", intro: "", submit: "Sign in" },
  join: { title: "Join", intro: "Somebody invited you. Choose what you are called here.", submit: "Create account" },
  setup: {
    title: "Welcome to relay",
    intro: "This server is new. You will be its first user, and administer it.",
    submit: "Set up",
  },
};

/** The fragment of an invitation's link, or of a new server's. */
export const LINK = /^#(setup|invite)=([\w-]+)$/;

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
      show(place, way === "setup" ? "setup" : way ? "join" : "sign-in", code ?? "", told, entered);
    };
    // Opening a link in a tab that already shows the page changes only the fragment.
    const opened = () => LINK.test(location.hash) && begin("");
    const entered = () => {
      removeEventListener("hashchange", opened);
      history.replaceState(null, "", location.pathname); // the code is used up, and must not stay visible
      resolve();
    };
    addEventListener("hashchange", opened);
    begin(notice);
  });
}

/**
 * @param {HTMLElement} place
 * @param {Way} way
 * @param {string} code
 * @param {string} notice
 * @param {() => void} entered
 */
function show(place, way, code, notice, entered) {
  const { title, intro, submit } = TEXTS[way];
  const failure = element("p", { class: "failure", role: "alert" }, notice);
  const send = element("button", { class: "primary" }, submit);
  const form = element(
    "form",
    {
      class: "card",
      onsubmit: (/** @type {Event} */ event) => {
        event.preventDefault();
        void enter();
      },
    },
    logo(),
    element("h1", {}, title),
    intro && element("p", {}, intro),
    ...fields(way, code),
    failure,
    send,
    otherWay(),
  );

  async function enter() {
    const given = Object.fromEntries([...new FormData(form)].filter(([, value]) => value !== ""));
    send.disabled = true;
    fill(failure);
    try {
      const rest = new RestApiClient(BASE);
      keepSession(
        await (way === "sign-in" ? rest.login(/** @type {any} */ (given)) : rest.register(/** @type {any} */ (given))),
      );
      entered();
    } catch (error) {
      fill(failure, sentence(error));
      send.disabled = false;
    }
  }

  function otherWay() {
    const [label, other] = way === "sign-in" ? ["I have an invitation", "join"] : ["I have an account", "sign-in"];
    return (
      way !== "setup" &&
      button(label, () => show(place, /** @type {Way} */ (other), "", "", entered), { class: "link" })
    );
  }

  fill(place, element("main", { class: "way-in" }, form));
  /** @type {HTMLElement} */ (form.querySelector("input:not([type=hidden])")).focus();
}

/**
 * @param {Way} way
 * @param {string} code
 */
function fields(way, code) {
  const joins = way !== "sign-in";
  return [
    field(
      "Name",
      {
        name: "user_id",
        required: true,
        autocomplete: "username",
        autocapitalize: "none",
        maxlength: MAX_NAME,
        spellcheck: "false",
      },
      joins && "Letters, digits and _ . @ + -. It stays.",
    ),
    joins && field("Shown as", { name: "display_name", maxlength: 100, autocomplete: "name" }),
    field("Password", {
      name: "password",
      type: "password",
      required: true,
      autocomplete: joins ? "new-password" : "current-password",
    }),
    joins &&
      (code
        ? element("input", { type: "hidden", name: "invite", value: code })
        : field("Invitation", { name: "invite", autocomplete: "off", spellcheck: "false" })),
  ];
}

/**
 * @param {string} label
 * @param {Record<string, any>} attributes
 * @param {string | false} [hint]
 */
function field(label, attributes, hint) {
  return element(
    "label",
    {},
    element("span", {}, label),
    element("input", attributes),
    hint && element("small", {}, hint),
  );
}

export function logo() {
  return element("img", { src: `${BASE}/app/icon.svg`, alt: "", class: "logo", width: 48, height: 48 });
}

/**
 * Return an error's message as a sentence.
 *
 * @param {unknown} error
 */
export function sentence(error) {
  const text = error instanceof Error ? error.message : String(error);
  return text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");
}
