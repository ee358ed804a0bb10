/** The section of the administration about bots: whose they are, how each does, its tokens, its end. */

import { button, element, field } from "../../app/dom.js";
import { texts } from "./texts.js";

/** @import { AdminColumn, AdminRelay } from "../../app/page-module.js" */

const PATH = "/api/admin/bots";

export const section = { label: texts.title, draw };

/** @param {AdminRelay} relay */
function draw(relay) {
  const { act, chip, heading, listing, time } = relay.parts;
  /** @type {AdminColumn[]} */
  const columns = [
    { title: texts.bot, draw: ({ user_id: id, display_name: name }) => [element("a", { href: relay.userHash(id) }, element("bdi", {}, name)), element("small", {}, ` ${id}`)] },
    { title: texts.owner, draw: ({ owner }) => owner && element("a", { href: relay.userHash(owner) }, owner) },
    { title: texts.state, draw: ({ state, connected }) => [chip(texts.states[/** @type {"active"} */ (state)], state === "active" ? "" : "warning"), " ", connected > 0 && chip(texts.connected, "good")] },
    { title: texts.lastUsed, draw: ({ last_used_at: at }) => (at ? time(at) : texts.never) },
    { title: texts.commands, draw: ({ commands }) => element("small", {}, commands.map((/** @type {string} */ one) => `/${one}`).join(" ")) },
    { title: texts.waiting, class: "number", draw: ({ waiting }) => String(waiting) },
    { title: texts.unanswered, class: "number", draw: ({ unanswered }) => (unanswered > 0 ? chip(String(unanswered), "bad") : "0") },
    {
      title: "", class: "acts",
      draw: ({ user_id: id }) => element("div", { class: "admin-choices" }, button(texts.token, () => void makeToken(relay, id)), act(texts.remove, () => remove(relay, id), { class: "danger" })),
    },
  ];
  return element("div", { class: "admin-loaded" }, heading(texts.title, texts.intro, button(texts.add, () => void add(relay), { class: "primary" })), listing({ path: PATH, rows: "bots", label: texts.title, columns, empty: texts.none }));
}

/** @param {AdminRelay} relay @param {string} id */
async function remove(relay, id) {
  if ((await relay.parts.askFirst(texts.removeQuestion(id), texts.remove, { why: texts.removeWhy })) === null) return false;
  return relay.send("DELETE", `${PATH}/${encodeURIComponent(id)}`);
}

/** @param {AdminRelay} relay */
async function add(relay) {
  const plain = { autocomplete: "off", autocapitalize: "none", spellcheck: "false", maxlength: 64 };
  const id = element("input", { ...plain, required: true });
  const name = element("input", { dir: "auto", autocomplete: "off", maxlength: 100 });
  const owner = element("input", { ...plain, value: relay.me });
  const fields = [field(texts.id, id), field(texts.name, name), field(texts.ownerId, owner)];
  if ((await relay.parts.askFirst(texts.add, texts.add, { danger: false, fields })) === null) return;
  await show(relay, () => relay.send("POST", PATH, { user_id: id.value.trim(), display_name: name.value.trim(), ...(owner.value.trim() && { owner: owner.value.trim() }) }));
}

/** @param {AdminRelay} relay @param {string} id */
async function makeToken(relay, id) {
  const replace = element("input", { type: "checkbox" });
  const fields = [element("label", { class: "check" }, replace, element("span", {}, texts.replace))];
  if ((await relay.parts.askFirst(texts.token, texts.token, { why: texts.tokenWhy, danger: false, fields })) === null) return;
  await show(relay, () => relay.send("POST", `${PATH}/${encodeURIComponent(id)}/tokens`, { replace: replace.checked }));
}

/** Show the token that a call answers with. @param {AdminRelay} relay @param {() => Promise<any>} call */
async function show(relay, call) {
  try {
    const { token } = await call();
    relay.parts.showSecret(texts.secret, texts.secretWhy, token).addEventListener("close", () => relay.again());
  } catch (error) {
    relay.failed(error);
  }
}
