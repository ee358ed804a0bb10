/** The settings: on a desktop the sections stand beside the chosen one, on a phone their list leads to pages. */

import { button, element, fill, icon, openDialog } from "../dom.js";
import { words } from "../words.js";

/** @import { Messenger } from "../messenger.js" */
/** @import { Access } from "../way-in/sign-in.js" */

/**
 * @typedef {object} Section
 * @property {string} id
 * @property {string} icon
 * @property {string} title
 * @property {(access: Access) => boolean} [offered] whether there is anything in it, by how one signs in to this server; without one there always is
 * @property {boolean} [first] whether it is there until that is known, and without a network
 * @property {() => Promise<{ draw: (messenger: Messenger, close: () => void) => Node | Node[] }>} load the section's module
 */

const { settings } = words;

/** All sections, in the order of the list. @type {Section[]} */
export const SECTIONS = [
  { id: "profile", icon: "person", title: settings.profile.title, load: () => import("./profile.js") },
  { id: "status", icon: "react", title: settings.status.title, load: () => import("./status.js") },
  { id: "appearance", icon: "look", title: settings.appearance.title, load: () => import("./appearance.js") },
  { id: "notifications", icon: "bell", title: words.notifications.title, load: () => import("./notifications.js") },
  { id: "privacy", icon: "shield", title: settings.privacy.title, load: () => import("./privacy.js") },
  {
    id: "password", icon: "key", title: settings.password.title, load: () => import("./password.js"),
    offered: ({ password_login: byPassword }) => byPassword !== false, first: true,
  },
  {
    id: "ways", icon: "link", title: settings.ways.title, load: () => import("./sign-in-ways.js"),
    offered: ({ ways = [] }) => ways.some(({ linkable }) => linkable),
  },
  {
    id: "second-factor", icon: "shield", title: settings.second.title, load: () => import("./second-factor.js"),
    offered: ({ password_login: byPassword }) => byPassword !== false, first: true,
  },
  { id: "devices", icon: "device", title: settings.devices.title, load: () => import("./devices.js") },
  { id: "data", icon: "archive", title: settings.data.title, load: () => import("./own-data.js") },
  { id: "about", icon: "info", title: settings.about.title, load: () => import("./about.js") },
];

/** Where the list and a section do not fit side by side; settings.css has the same. */
const NARROW = "(max-width: 700px)";

/**
 * Open the settings.
 *
 * @param {Messenger} messenger
 * @param {string} [section] the id of the one to open; without it the list on a phone, and the profile on a desktop
 */
export function openSettings(messenger, section) {
  let shown = 0;
  const page = element("section", { class: "page", tabindex: "-1" });
  const list = element(
    "ul",
    {},
    ...SECTIONS.map(({ id, icon: sign, title, offered, first }) =>
      element("li", { hidden: Boolean(offered) && !first, "data-of": id }, element("button", { type: "button", "data-section": id, tabindex: "-1", onclick: () => void show(id) }, icon(sign), element("span", {}, title))),
    ),
  );
  const nav = element("nav", { "aria-label": settings.sections, onkeydown: walk }, list);
  const dialog = openDialog(settings.title, element("div", { class: "panes" }, nav, page));
  dialog.classList.add("settings");
  const back = button(settings.back, leave, { sign: icon("back"), class: "quiet back" });
  dialog.querySelector("header")?.prepend(back);
  // Escape leads a phone back to the list first, as its back button does.
  dialog.addEventListener("cancel", (event) => {
    if (!matchMedia(NARROW).matches || !dialog.classList.contains("paged") || section) return;
    event.preventDefault();
    leave();
  });

  /** Show those sections alone that have something in them on this server. */
  async function offer() {
    const access = await messenger.messaging.restApi.request("GET", "/api/registration").catch(() => null);
    for (const { id, offered } of access ? SECTIONS : []) {
      const item = /** @type {HTMLElement | null} */ (list.querySelector(`[data-of="${id}"]`));
      if (item && offered) item.hidden = !offered(access);
    }
  }

  /** @param {string} id @param {boolean} [enter] whether the focus goes to the section on a phone */
  async function show(id, enter = true) {
    const mine = ++shown;
    const chosen = SECTIONS.find((one) => one.id === id) ?? SECTIONS[0];
    for (const one of buttons()) {
      const current = one.dataset.section === chosen.id;
      one.tabIndex = current ? 0 : -1;
      if (current) one.setAttribute("aria-current", "true");
      else one.removeAttribute("aria-current");
    }
    dialog.classList.add("paged");
    // The module may not be here without a network, where the browser keeps no copy of the page.
    const module = await chosen.load().catch(() => null);
    if (mine !== shown) return;
    const failure = () => element("p", { class: "failure", role: "alert" }, words.errors.codes.offline);
    fill(page, element("h3", {}, chosen.title), ...[module ? module.draw(messenger, () => dialog.close()) : failure()].flat());
    page.setAttribute("aria-label", chosen.title);
    page.scrollTop = 0;
    if (enter && matchMedia(NARROW).matches) page.focus({ preventScroll: true });
  }

  function leave() {
    dialog.classList.remove("paged");
    (buttons().find((one) => one.tabIndex === 0) ?? buttons()[0]).focus();
  }

  function buttons() {
    return /** @type {HTMLElement[]} */ ([...list.querySelectorAll("li:not([hidden]) > button")]);
  }

  /** @param {KeyboardEvent} event */
  function walk(event) {
    const all = buttons();
    const at = all.indexOf(/** @type {HTMLElement} */ (document.activeElement));
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 }[event.key];
    if (to === undefined || at < 0) return;
    event.preventDefault();
    const next = all[(to + all.length) % all.length];
    for (const one of all) one.tabIndex = one === next ? 0 : -1;
    next.focus();
    if (!matchMedia(NARROW).matches) void show(next.dataset.section ?? "", false);
  }

  void offer();
  if (section || !matchMedia(NARROW).matches) void show(section ?? SECTIONS[0].id, section !== undefined);
  else buttons()[0].tabIndex = 0;
  if (!section) (buttons().find((one) => one.tabIndex === 0) ?? buttons()[0]).focus();
  return dialog;
}
