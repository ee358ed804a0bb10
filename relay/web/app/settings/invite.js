/** Inviting people: a link with its QR code, and the invitations that are open. */

import { button, element, fill, icon, openDialog } from "../dom.js";
import { isolate, listed, moment, straight, wholeTime } from "../format.js";
import { problem } from "../problems.js";
import { BASE } from "../session.js";
import { counted, words } from "../words.js";
import { copyButton, loaded, row, select } from "./parts.js";
import { qrCode } from "./qr-code.js";

/** @import { Messenger } from "../messenger.js" */

/** @typedef {{ invite_id: string, created_by: string | null, created_at: number, expires_at: number | null, uses_left: number, role: string, label: string, groups: string[], mail: string | null, revoked_at: number | null, used_by: { user_id: string }[] }} Invite */
/** @typedef {Invite & { link: string, qr: string[] }} MadeInvite */

const texts = words.invite;
const PATH = "/api/admin/invites";
const USES = [1, 5, 10, 25, 100];
const DAYS = [1, 7, 30, 0];

/** Who may make an account on this server, once it has told. @type {Promise<unknown> | null} */
let asked = null;
let open = false;

/** Whether to offer the user to invite others: by links that admins make, or by the address where nobody needs one. @param {Messenger} messenger */
export function canInvite({ store }) {
  return store.me?.admin === true || open;
}

/**
 * Ask the server, once, whether it takes everybody.
 *
 * @param {Messenger} messenger
 */
function askWhoMay({ messaging: { restApi } }) {
  asked ??= restApi.request("GET", "/api/registration").then(
    ({ registration }) => (open = registration === "open"),
    () => (asked = null), // the next one asks again
  );
  return asked;
}

/** Draw a button that opens the dialog, in a place that stays empty for who may not invite. @param {Messenger} messenger */
export function inviteButton(messenger) {
  const place = element("span", { class: "invite" });
  const press = button(texts.button, () => openInvite(messenger), { class: "with-icon" });
  press.prepend(icon("invite"));
  const draw = () => canInvite(messenger) && fill(place, press);
  if (!draw()) void askWhoMay(messenger).then(draw);
  return place;
}

/** Open the dialog. @param {Messenger} messenger */
export function openInvite(messenger) {
  const place = element("div", { class: "inviting" });
  const dialog = openDialog(texts.title, place);
  dialog.classList.add("invitation");
  if (messenger.store.me?.admin) ask(messenger, place);
  else showAddress(place);
  return dialog;
}

/** Show the address of a server that takes everybody. @param {HTMLElement} place */
function showAddress(place) {
  const link = `${BASE}/`;
  fill(place, element("p", { class: "intro" }, texts.openIntro), ...address(link), element("p", { class: "choice" }, ...sending(link)));
}

/** Draw a link to be copied by hand as well. @param {string} link */
function address(link) {
  const input = element("input", { readonly: true, value: link, dir: "ltr", onfocus: () => input.select() });
  const local = /^https?:\/\/(?:localhost|127\.|\[::1\])/.test(link);
  return [row(texts.link, input), local && element("p", { class: "warning" }, texts.localOnly)];
}

/** Draw the buttons that share and copy a link. @param {string} link */
function sending(link) {
  const share = { title: texts.mailSubject, url: link };
  return [
    navigator.canShare?.(share) && button(texts.share, () => void navigator.share(share).catch(() => {})),
    copyButton(texts.copy, () => link, { class: "primary" }),
  ];
}

/**
 * Show the form for a new invitation, and those that are open.
 *
 * @param {Messenger} messenger
 * @param {HTMLElement} place
 */
function ask(messenger, place) {
  const people = Object.fromEntries(USES.map((uses) => [uses, counted(uses, texts.people)]));
  const spans = Object.fromEntries(DAYS.map((days) => [days, days ? counted(days, texts.dayCounts) : texts.forever]));
  const uses = select(people, "10");
  const days = select(spans, "7");
  const label = element("input", { maxlength: 100, dir: "auto", autocomplete: "off" });
  const role = select(rolesOf(messenger), "user");
  const groups = groupChoice(messenger);
  const failure = element("p", { class: "failure", role: "alert" });
  const send = element("button", { class: "primary" }, texts.make);
  const make = async () => {
    send.disabled = true;
    const body = {
      uses: Number(uses.value), days: Number(days.value), role: role.value, page: `${BASE}/`, label: label.value.trim(), groups: groups.chosen(),
    };
    try {
      show(messenger, place, await messenger.messaging.restApi.request("POST", PATH, { body }));
    } catch (error) {
      fill(failure, problem(error));
      send.disabled = false;
    }
  };
  const form = element(
    "form",
    { onsubmit: (/** @type {Event} */ event) => (event.preventDefault(), void make()) },
    element("p", { class: "intro" }, texts.intro),
    element("div", { class: "pair" }, row(texts.uses, uses), row(texts.days, days)),
    row(texts.role, role),
    groups.node,
    row(texts.label, label, { hint: texts.labelHint }),
    failure,
    element("p", { class: "choice" }, send),
  );
  fill(place, form, allOnes(messenger));
  send.focus();
}

/** The roles that a user may give; only an owner makes administrators. @param {Messenger} messenger @returns {Record<string, string>} */
function rolesOf({ store }) {
  const { admin, ...others } = texts.roles;
  return store.me?.role === "owner" ? { ...others, admin } : others;
}

/**
 * Draw the choice of groups that whoever comes joins: those where the user may add members; nothing without one.
 *
 * @param {Messenger} messenger
 */
function groupChoice({ messaging: { restApi } }) {
  /** @type {HTMLInputElement[]} */
  let boxes = [];
  const node = element("fieldset", { class: "setting joins", hidden: true });
  const draw = (/** @type {{ groups: { group_id: string, name: string, role: string }[] }} */ { groups }) => {
    const mine = groups.filter(({ role }) => role !== "member");
    boxes = mine.map(({ group_id: id }) => element("input", { type: "checkbox", value: id }));
    const lines = mine.map(({ name }, index) => element("label", { class: "check" }, boxes[index], element("span", { dir: "auto" }, name)));
    node.hidden = mine.length === 0;
    fill(node, element("legend", {}, texts.groups), element("div", { class: "checks" }, ...lines));
  };
  restApi.request("GET", "/api/groups", { query: { limit: 200 } }).then(draw, () => {}); // without them, people are invited to none
  return { node, chosen: () => boxes.filter(({ checked }) => checked).map(({ value }) => value) };
}

/**
 * Show a new invitation: this is the only time that its link is seen.
 *
 * @param {Messenger} messenger
 * @param {HTMLElement} place
 * @param {MadeInvite} made
 */
function show(messenger, place, { link, qr, uses_left: uses, expires_at: end }) {
  const people = counted(uses, texts.people);
  fill(
    place,
    element("div", { class: "qr" }, qrCode(qr, texts.qr), element("small", { class: "note" }, texts.qrHint)),
    ...address(link),
    element("p", { class: "note" }, end ? texts.good(people, moment(end)) : texts.goodForever(people)),
    element(
      "p",
      { class: "choice" },
      button(texts.another, () => ask(messenger, place), { class: "link" }),
      ...sending(link),
    ),
  );
  /** @type {HTMLElement | null} */ (place.querySelector("button.primary"))?.focus();
}

/** Draw the invitations that are open, and those that have ended where they are wanted. @param {Messenger} messenger */
function allOnes(messenger) {
  const { restApi } = messenger.messaging;
  const place = element("div", {});
  const failure = element("p", { class: "failure", role: "alert" });
  const begin = (/** @type {boolean} */ ended) =>
    fill(
      place,
      loaded(
        () => /** @type {Promise<{ invites: Invite[] }>} */ (restApi.request("GET", PATH, { query: ended ? { ended: true } : {} })),
        ({ invites }, again) => {
          const takeBack = async (/** @type {string} */ id) => {
            try {
              await restApi.request("DELETE", `${PATH}/${id}`);
              again();
            } catch (error) {
              fill(failure, problem(error));
            }
          };
          invites.sort((one, other) => other.created_at - one.created_at);
          const more = element("input", { type: "checkbox", checked: ended, onchange: () => begin(more.checked) });
          const lines = invites.map((invite) => line(messenger, invite, () => void takeBack(invite.invite_id)));
          return /** @type {Node[]} */ ([
            element("h3", {}, texts.openOnes),
            failure,
            lines.length > 0 && element("ul", { class: "open-ones" }, ...lines),
            element("label", { class: "check" }, more, element("span", {}, texts.showEnded)),
          ].filter(Boolean));
        },
      ),
    );
  begin(false);
  return place;
}

/** @param {Messenger} messenger @param {Invite} invite @param {() => void} takeBack */
function line({ names, session, store }, invite, takeBack) {
  const name = (/** @type {string} */ id) => (id === session.userId && store.me ? straight(store.me.display_name) : names.of(id));
  const { created_by: by, created_at: at, role, label, groups, used_by: uses, mail } = invite;
  const state = stateOf(invite);
  const makes = /** @type {Record<string, string>} */ (texts.makes)[role];
  const more = [makes, groups.length > 0 && texts.joins(listed(groups)), mail && texts.byMail(isolate(mail))].filter(Boolean);
  const isOpen = invite.revoked_at === null && state !== texts.usedUp && state !== texts.expired;
  return element(
    "li",
    {},
    element(
      "div",
      { class: "about" },
      label && element("strong", { dir: "auto" }, label),
      element("span", {}, [state, ...more].join(" · ")),
      uses.length > 0 && element("span", {}, texts.usedBy(listed(uses.map(({ user_id: id }) => names.of(id))))),
      element("small", { title: wholeTime(at) }, texts.made(by ? name(by) : texts.byCommand, moment(at))),
    ),
    isOpen && button(texts.takeBack, takeBack, { class: "link", "aria-label": `${texts.takeBack}: ${label || state}` }),
  );
}

/** Return for how many an invitation is good and until when, or how it has ended. @param {Invite} invite */
function stateOf({ expires_at: end, uses_left: uses, revoked_at: revoked }) {
  if (revoked !== null) return texts.takenBack;
  if (uses === 0) return texts.usedUp;
  if (end !== null && end * 1000 <= Date.now()) return texts.expired;
  const people = counted(uses, texts.people);
  return end ? texts.left(people, moment(end)) : texts.leftForever(people);
}
