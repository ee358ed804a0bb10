/** Reports of messages, with the message as it was, and what moderators do about it; timeouts and bans that are in force. */

import { button, element } from "../dom.js";
import { counted } from "../words.js";
import { loaded, select } from "../settings/parts.js";
import { act, askFirst, chip, heading, listing, table, time } from "./parts.js";
import { hashTo } from "./place.js";
import { texts } from "./texts.js";

/** @import { Administration } from "./administration.js" */
/** @import { Place } from "./place.js" */

const PATH = "/api/admin/reports";
const RESTRICTIONS = "/api/admin/restrictions";
const own = texts.reports;
/** So many rows at once: each is tall, and has buttons. */
const PAGE = 20;
/** For so long, in seconds; none for a ban without an end. */
const SPANS = { 3_600: own.spans.hour, 86_400: own.spans.day, 604_800: own.spans.week, 2_592_000: own.spans.month };

/** @param {Administration} admin @param {Place} place */
export function draw(admin, place) {
  const filters = [{ name: "state", label: own.state, options: own.states }];
  return [
    heading(own.title, own.intro),
    listing(admin, place, { section: "reports", path: PATH, rows: "reports", label: own.title, columns: columns(admin), filters, empty: own.none, limit: PAGE }),
    element("section", {}, element("h3", {}, own.inForce), loaded(() => admin.get(RESTRICTIONS), ({ restrictions }) => drawRestrictions(admin, restrictions))),
  ];
}

/** @param {Administration} admin @returns {import("./parts.js").Column<any>[]} */
function columns(admin) {
  return [
    { title: own.message, draw: (report) => drawMessage(report) },
    { title: own.author, draw: ({ author }) => person(author) },
    { title: own.by, draw: ({ reporters, reports }) => [counted(reports, own.counts), element("ul", { class: "admin-remarks" }, ...reporters.map((/** @type {any} */ one) => element("li", {}, `${one.user_id}: ${own.reasons[/** @type {"spam"} */ (one.reason)] ?? one.reason}`, one.text && element("small", { dir: "auto" }, ` ${one.text}`))))] },
    { title: own.state, draw: ({ state, by, note }) => [chip(own.states[/** @type {"open"} */ (state)] ?? state, state === "open" ? "warning" : ""), by && element("small", {}, ` ${by}`), note && element("small", { dir: "auto" }, element("br", {}), note)] },
    { title: "", class: "acts", draw: (report) => element("div", { class: "admin-choices" }, ...actions(admin, report)) },
  ];
}

/** @param {any} report */
function drawMessage({ message, removed, message_id: id }) {
  const { content, attachments } = message?.payload ?? message ?? {};
  return [
    element("blockquote", { class: "admin-quoted", dir: "auto" }, message ? content || own.noText : own.erased),
    attachments?.length > 0 && element("small", {}, counted(attachments.length, own.files)),
    removed && chip(own.removed),
    element("small", {}, ` #${id}`),
  ];
}

/** @param {Administration} admin @param {any} report */
function actions(admin, { report_id: id, author, state, removed }) {
  const path = `${PATH}/${id}`;
  const remove = async () => {
    const reason = await askFirst(own.removeQuestion, own.remove, { why: own.removeWhy, reason: true });
    return reason === null ? false : admin.send("POST", `${path}/remove`, { reason });
  };
  const close = (/** @type {"resolved" | "dismissed"} */ to, /** @type {string} */ label) => async () => {
    const note = await askFirst(label, label, { reason: true, danger: false });
    return note === null ? false : admin.send("POST", path, { state: to, note });
  };
  return [
    !removed && act(admin, own.remove, remove, { class: "danger" }),
    act(admin, own.timeout, () => restrict(admin, "timeout", author)),
    act(admin, own.ban, () => restrict(admin, "ban", author), { class: "danger" }),
    state === "open" ? act(admin, own.resolve, close("resolved", own.resolve), { class: "primary" }) : act(admin, own.reopen, () => admin.send("POST", path, { state: "open" })),
    state === "open" && act(admin, own.dismiss, close("dismissed", own.dismiss)),
  ];
}

/**
 * Put somebody into a timeout, or ban them, after asking for how long and why.
 *
 * @param {Administration} admin
 * @param {"timeout" | "ban"} kind
 * @param {string} userId
 */
export async function restrict(admin, kind, userId) {
  const spans = select(kind === "ban" ? { ...SPANS, 0: own.spans.forever } : SPANS, "86400");
  const field = element("label", { class: "field" }, element("span", {}, own.span), spans);
  const question = kind === "ban" ? own.banQuestion(userId) : own.timeoutQuestion(userId);
  const reason = await askFirst(question, kind === "ban" ? own.ban : own.timeout, { why: kind === "ban" ? own.banWhy : own.timeoutWhy, reason: true, fields: [field] });
  if (reason === null) return false;
  const seconds = Number(spans.value);
  return admin.send("PUT", `${RESTRICTIONS}/${kind}/${encodeURIComponent(userId)}`, { reason, ...(seconds > 0 && { seconds }) });
}

/** @param {Administration} admin @param {any[]} restrictions */
function drawRestrictions(admin, restrictions) {
  if (restrictions.length === 0) return element("p", { class: "told" }, own.noneInForce);
  /** @type {import("./parts.js").Column<any>[]} */
  const all = [
    { title: own.user, draw: ({ user_id: id }) => person(id) },
    { title: own.kind, draw: ({ kind }) => chip(own.kinds[/** @type {"ban"} */ (kind)], kind === "ban" ? "bad" : "warning") },
    { title: own.until, draw: ({ until }) => (until ? time(until) : own.spans.forever) },
    { title: own.reason, draw: ({ reason }) => reason },
    { title: own.madeBy, draw: ({ by, made_at: at }) => [by ?? texts.operator, " ", time(at)] },
    { title: "", class: "acts", draw: ({ kind, user_id: id }) => act(admin, own.lift, () => admin.send("DELETE", `${RESTRICTIONS}/${kind}/${encodeURIComponent(id)}`)) },
  ];
  const drawn = table(own.inForce, all, restrictions.slice(0, PAGE));
  let shown = PAGE;
  const goOn = () => {
    drawn.add(restrictions.slice(shown, shown + PAGE));
    shown += PAGE;
    more.hidden = shown >= restrictions.length;
  };
  const more = button(texts.more, goOn, { hidden: shown >= restrictions.length });
  return [element("div", { class: "admin-scroll" }, drawn.node), element("p", {}, more)];
}

/** @param {string} id */
function person(id) {
  return element("a", { href: hashTo("users", id) }, id);
}
