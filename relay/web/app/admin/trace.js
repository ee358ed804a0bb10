/** The trace of a message: what happened to it, and for each recipient and device whether it is there, and why not. */

import { button, element, fill } from "../dom.js";
import { size } from "../format.js";
import { problem } from "../problems.js";
import { counted, NUMBER } from "../words.js";
import { loaded } from "../settings/parts.js";
import { chip, facts, heading, table, time } from "./parts.js";
import { hashTo } from "./place.js";
import { texts } from "./texts.js";

/** @import { Administration } from "./administration.js" */
/** @import { Place } from "./place.js" */

const own = texts.trace;
/** @type {Record<string, "good" | "warning" | "bad" | "">} */
const KINDS = {
  sender: "", read: "good", delivered: "good", acked: "good", origin: "", sent: "warning", queued: "warning", replaying: "warning", waiting: "warning",
  no_device: "warning", left_out: "warning", erased: "bad", disabled: "bad", revoked: "bad",
};

/** @param {Administration} admin @param {Place} place */
export function draw(admin, place) {
  const input = element("input", { type: "text", inputmode: "numeric", pattern: "[0-9]+", required: true, value: place.id, autocomplete: "off" });
  const find = (/** @type {Event} */ event) => {
    event.preventDefault();
    location.hash = hashTo("trace", input.value.trim());
  };
  const form = element("form", { class: "admin-filters", role: "search", onsubmit: find }, element("label", { class: "admin-filter" }, element("span", {}, own.id), input), element("button", { class: "primary admin-go" }, own.find));
  if (!place.id) input.autofocus = true;
  return [heading(own.title, own.intro), form, place.id && drawTrace(admin, place.id)].filter((one) => one instanceof Node);
}

/** @param {Administration} admin @param {string} id */
function drawTrace(admin, id) {
  const path = `/api/admin/trace/${encodeURIComponent(id)}`;
  return loaded(
    () => admin.get(path),
    (trace) => {
      const recipients = table(own.recipients, COLUMNS, trace.recipients);
      const failure = element("p", { class: "failure", role: "alert" });
      let next = trace.next;
      const more = button(texts.more, () => void goOn(), { hidden: !next });
      const goOn = async () => {
        more.disabled = true;
        try {
          const page = await admin.get(path, { after: next });
          recipients.add(page.recipients);
          next = page.next;
          more.hidden = !next;
        } catch (error) {
          fill(failure, problem(error));
        }
        more.disabled = false;
      };
      return [
        element("div", { class: "admin-cards" }, drawMessage(trace.message), drawEvents(trace.events)),
        element("section", {}, element("h3", {}, own.recipients), drawCounts(trace.counts), element("div", { class: "admin-scroll" }, recipients.node), failure, element("p", {}, more)),
      ];
    },
  );
}

/** @param {any} message */
function drawMessage(message) {
  const { commit } = message;
  return element("section", { class: "admin-card" }, element("h3", {}, own.message), facts({
    [own.type]: message.type,
    [own.conversation]: message.conversation,
    [own.number]: message.seq && String(message.seq),
    [own.sender]: person(message.sender_id),
    [own.device]: message.client_id,
    [own.sent]: message.sent_at && time(message.sent_at),
    [own.stored]: time(message.stored_at),
    [own.commit]: commit && own.commitText(counted(commit.messages, own.messages), Math.round(commit.seconds * 1000)),
    [own.edited]: message.edited_at && time(message.edited_at),
    [own.deleted]: message.deleted_at && time(message.deleted_at),
    [own.expires]: message.expires_at && time(message.expires_at),
    [own.onlyFor]: message.only_for,
    [own.size]: message.bytes !== null && size(message.bytes),
  }));
}

/** @param {any[]} events */
function drawEvents(events) {
  const lines = events.map(({ text, at, plugin }) => element("li", {}, time(at), element("span", { dir: "auto" }, text), plugin && element("small", {}, plugin)));
  return element("section", { class: "admin-card" }, element("h3", {}, own.events), lines.length > 0 ? element("ol", { class: "admin-events" }, ...lines) : element("p", { class: "told" }, texts.nothing));
}

/** @param {{ members: number, delivered: number, read: number }} counts */
function drawCounts({ members, delivered, read }) {
  return element("p", { class: "note" }, own.counts(NUMBER.format(members), NUMBER.format(delivered), NUMBER.format(read)));
}

/** @type {import("./parts.js").Column<any>[]} */
const COLUMNS = [
  { title: own.user, draw: ({ user_id: id }) => person(id) },
  { title: own.state, draw: ({ state }) => stateChip(state) },
  { title: own.why, draw: ({ text, notes }) => [element("span", {}, text), ...notes.map((/** @type {any} */ one) => element("small", {}, element("br", {}), one.text))] },
  {
    title: own.devices,
    draw: ({ devices }) => element("ul", { class: "admin-devices" }, ...devices.map((/** @type {any} */ one) => element("li", { title: one.text }, stateChip(one.state), " ", element("bdi", {}, one.agent || one.client_id)))),
  },
];

/** @param {string} state */
function stateChip(state) {
  return chip(own.states[/** @type {"read"} */ (state)] ?? state, KINDS[state] ?? "");
}

/** @param {string} id */
function person(id) {
  return element("a", { href: hashTo("users", id) }, id);
}
