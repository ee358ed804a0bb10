/** The section of the administration about webhooks: outgoing ones and how each does, incoming ones, new ones, their end. */

import { button, element, field } from "../../app/dom.js";
import { texts } from "./texts.js";

/** @import { AdminColumn, AdminRelay } from "../../app/page-module.js" */

const PATH = "/api/webhooks";
const INCOMING = `${PATH}/incoming`;
/** @type {Record<string, "good" | "bad" | "warning">} */
const KINDS = { active: "good", failing: "bad", paused: "warning" };
const PLAIN = { autocomplete: "off", autocapitalize: "none", spellcheck: "false" };

export const section = { label: texts.title, draw };

/** @param {AdminRelay} relay */
function draw(relay) {
  const { heading, loaded } = relay.parts;
  if (relay.id) return drawDeliveries(relay);
  return element(
    "div",
    { class: "admin-loaded" },
    heading(texts.title, texts.intro, button(texts.addIncoming, () => void addIncoming(relay)), button(texts.add, () => void add(relay), { class: "primary" })),
    element("h3", {}, texts.outgoing),
    loaded(() => relay.get(PATH), ({ webhooks }) => outgoing(relay, webhooks)),
    element("h3", {}, texts.incoming),
    loaded(() => relay.get(INCOMING), ({ incoming }) => incomingOnes(relay, incoming)),
  );
}

/** @param {{ url: string }} hook */
function hostOf({ url }) {
  return URL.canParse(url) ? new URL(url).host : url;
}

/** Return which messages a webhook gets, in a line. @param {Record<string, string[]>} messages */
function whatOf(messages) {
  const named = Object.entries(messages ?? {}).filter(([, names]) => names?.length > 0);
  return named.length > 0 ? named.map(([kind, names]) => `${texts.whatNames[/** @type {"types"} */ (kind)] ?? kind} ${names.join(", ")}`).join(" · ") : texts.all;
}

/** @param {AdminRelay} relay @param {string | null} by */
function madeBy(relay, by) {
  return by ? element("a", { href: relay.userHash(by) }, by) : texts.operator;
}

/** @param {AdminRelay} relay @param {any[]} hooks */
function outgoing(relay, hooks) {
  const { chip, table, time } = relay.parts;
  if (hooks.length === 0) return element("p", { class: "told" }, texts.none);
  /** @type {AdminColumn[]} */
  const columns = [
    { title: texts.to, draw: (hook) => [element("a", { href: relay.hashTo(hook.hook_id), title: texts.deliveries }, hostOf(hook)), element("small", {}, ` ${hook.hook_id}`)] },
    { title: texts.what, draw: ({ messages }) => element("small", {}, whatOf(messages)) },
    { title: texts.madeBy, draw: ({ made_by: by }) => madeBy(relay, by) },
    { title: texts.lastUsed, draw: ({ last_attempt_at: at, last_status: status }) => (at ? [time(at), element("small", {}, ` ${status ? texts.status(status) : texts.noAnswer}`)] : texts.never) },
    { title: texts.state, draw: ({ state, reason }) => [chip(texts.states[/** @type {"active"} */ (state)], KINDS[state]), reason && element("small", {}, ` ${reason}`)] },
    { title: texts.waiting, class: "number", draw: ({ waiting }) => String(waiting) },
    { title: texts.dead, class: "number", draw: ({ dead }) => (dead > 0 ? chip(String(dead), "bad") : "0") },
    { title: "", class: "acts", draw: (hook) => element("div", { class: "admin-choices" }, ...acts(relay, hook)) },
  ];
  return table(texts.outgoing, columns, hooks);
}

/** @param {AdminRelay} relay @param {any} hook */
function acts(relay, hook) {
  const { act, askFirst } = relay.parts;
  const path = `${PATH}/${encodeURIComponent(hook.hook_id)}`;
  const test = async () => {
    const { status, error } = await relay.send("POST", `${path}/test`);
    relay.say(texts.tested(hostOf(hook), error ?? texts.status(status)));
  };
  const replay = async () => (await askFirst(texts.replayQuestion, texts.replay, { danger: false })) !== null && relay.send("POST", `${path}/replay`, {});
  const remove = async () => (await askFirst(texts.removeQuestion(hostOf(hook)), texts.remove, { why: texts.removeWhy })) !== null && relay.send("DELETE", path);
  return [
    hook.state === "paused" ? act(texts.resume, () => relay.send("POST", `${path}/resume`), { class: "primary" }) : act(texts.pause, () => relay.send("POST", `${path}/pause`)),
    act(texts.test, test),
    hook.dead > 0 && act(texts.replay, replay),
    button(texts.rotate, () => void rotate(relay, path)),
    act(texts.remove, remove, { class: "danger" }),
  ];
}

/** @param {AdminRelay} relay @param {string} path */
async function rotate(relay, path) {
  const hours = element("input", { type: "number", min: 0, max: 8_760, value: "24" });
  const fields = [field(texts.rotateHours, hours)];
  if ((await relay.parts.askFirst(texts.rotate, texts.rotate, { why: texts.rotateWhy, danger: false, fields })) === null) return;
  await show(relay, texts.secret, texts.secretWhy, async () => (await relay.send("POST", `${path}/rotate`, { hours: Number(hours.value) })).secret);
}

/** @param {AdminRelay} relay */
async function add(relay) {
  const url = element("input", { ...PLAIN, type: "url", required: true, maxlength: 2_000 });
  const types = element("input", PLAIN);
  const groups = element("input", PLAIN);
  const fields = [field(texts.url, url), field(texts.addTypes, types), field(texts.addGroups, groups)];
  if ((await relay.parts.askFirst(texts.add, texts.add, { danger: false, fields })) === null) return;
  const messages = { types: namesIn(types), groups: namesIn(groups) };
  await show(relay, texts.secret, texts.secretWhy, async () => (await relay.send("POST", PATH, { url: url.value.trim(), messages })).secret);
}

/** @param {HTMLInputElement} input */
function namesIn({ value }) {
  return value.split(/[\s,]+/).filter(Boolean);
}

/** @param {AdminRelay} relay @param {any[]} hooks */
function incomingOnes(relay, hooks) {
  const { act, askFirst, table, time } = relay.parts;
  if (hooks.length === 0) return element("p", { class: "told" }, texts.noIncoming);
  const revoke = async (/** @type {string} */ name) => (await askFirst(texts.revokeQuestion(name), texts.revoke, { why: texts.revokeWhy })) !== null && relay.send("DELETE", `${INCOMING}/${encodeURIComponent(name)}`);
  /** @type {AdminColumn[]} */
  const columns = [
    { title: texts.name, draw: ({ name }) => element("bdi", {}, name) },
    { title: texts.postsAs, draw: ({ user_id: id }) => element("a", { href: relay.userHash(id) }, id) },
    { title: texts.target, draw: ({ target_id: id }) => element("bdi", {}, id) },
    { title: texts.madeBy, draw: ({ made_by: by }) => madeBy(relay, by) },
    { title: texts.lastUsed, draw: ({ used_at: at }) => (at ? time(at) : texts.never) },
    { title: "", class: "acts", draw: ({ name }) => act(texts.revoke, () => revoke(name), { class: "danger" }) },
  ];
  return table(texts.incoming, columns, hooks);
}

/** @param {AdminRelay} relay */
async function addIncoming(relay) {
  const name = element("input", { required: true, maxlength: 64, dir: "auto", autocomplete: "off" });
  const user = element("input", { ...PLAIN, required: true, maxlength: 64 });
  const target = element("input", { ...PLAIN, required: true, maxlength: 64 });
  const fields = [field(texts.name, name), field(texts.userId, user), field(texts.targetId, target)];
  if ((await relay.parts.askFirst(texts.addIncoming, texts.addIncoming, { danger: false, fields })) === null) return;
  const body = { name: name.value.trim(), user_id: user.value.trim(), target_id: target.value.trim() };
  await show(relay, texts.address, texts.addressWhy, async () => new URL(`..${(await relay.send("POST", INCOMING, body)).path}`, new URL("..", import.meta.url)).href);
}

/** @param {AdminRelay} relay */
function drawDeliveries(relay) {
  const { chip, heading, loaded, table, time } = relay.parts;
  const path = `${PATH}/${encodeURIComponent(relay.id)}`;
  /** @type {AdminColumn[]} */
  const columns = [
    { title: texts.when, draw: ({ at }) => time(at) },
    { title: texts.message, class: "number", draw: ({ message_id: id }) => (id ? String(id) : "–") },
    { title: texts.attempt, class: "number", draw: ({ attempt }) => String(attempt) },
    { title: texts.outcome, draw: ({ status, error }) => [error ? chip(error, "bad") : chip(texts.status(status), "good")] },
    { title: texts.took, class: "number", draw: ({ milliseconds }) => String(milliseconds) },
  ];
  const show = (/** @type {any} */ [hook, { deliveries }]) => [
    heading(texts.newest(hostOf(hook)), hook.hook_id),
    deliveries.length > 0 ? table(texts.deliveries, columns, deliveries) : element("p", { class: "told" }, texts.noDeliveries),
  ];
  return element("div", { class: "admin-loaded" }, element("p", { class: "admin-back" }, element("a", { href: relay.hashTo() }, texts.back)), loaded(() => Promise.all([relay.get(path), relay.get(`${path}/deliveries`)]), show));
}

/**
 * Show what a call answers with, this one time.
 *
 * @param {AdminRelay} relay
 * @param {string} title
 * @param {string} why
 * @param {() => Promise<string>} call
 */
async function show(relay, title, why, call) {
  try {
    relay.parts.showSecret(title, why, await call()).addEventListener("close", () => relay.again());
  } catch (error) {
    relay.failed(error);
  }
}
