/** One's API tokens, with which programs act in one's name: their list, and the end of one. */

import { ask, button, element, fill, icon } from "../dom.js";
import { ago, isolate, moment, upright } from "../format.js";
import { problem } from "../problems.js";
import { words } from "../words.js";
import { loaded } from "./parts.js";

/** @import { Messenger } from "../messenger.js" */

/**
 * @typedef {object} Token a row of `GET /api/tokens`
 * @property {string} token_id
 * @property {string} label
 * @property {number} created_at Unix seconds, as the others
 * @property {number | null} expires_at
 * @property {number | null} last_used_at
 */

const texts = words.settings.tokens;

/** @param {Messenger} messenger */
export function drawTokens({ messaging: { restApi } }) {
  const told = element("p", { class: "told", role: "status" });
  const failure = element("p", { class: "failure", role: "alert" });

  /** @param {Token} token @param {() => void} again */
  async function revoke(token, again) {
    if (!(await ask(texts.revokeQuestion(nameOf(token)), texts.revoke))) return;
    fill(failure);
    fill(told);
    try {
      await restApi.request("DELETE", `/api/tokens/${encodeURIComponent(token.token_id)}`);
      fill(told, texts.revoked);
    } catch (error) {
      fill(failure, problem(error));
    }
    again();
  }

  const place = loaded(
    () => all(restApi),
    (tokens, again) => {
      if (tokens.length === 0) return [];
      tokens.sort((one, other) => other.created_at - one.created_at);
      const list = element("ul", { class: "devices" }, ...tokens.map((token) => line(token, () => void revoke(token, again))));
      return [element("h4", {}, texts.title), element("p", { class: "note" }, texts.intro), list];
    },
  );
  return element("section", { class: "tokens", "aria-label": texts.title }, place, failure, told);
}

/** @param {Messenger["messaging"]["restApi"]} restApi @returns {Promise<Token[]>} */
async function all(restApi) {
  /** @type {Token[]} */
  const found = [];
  /** @type {string | null} */
  let cursor = null;
  do {
    /** @type {any} */
    const page = await restApi.request("GET", "/api/tokens", cursor ? { query: { cursor } } : undefined);
    found.push(...page.tokens);
    cursor = page.has_more ? page.next_cursor : null;
  } while (cursor);
  return found;
}

/** @param {Token} token @param {() => void} revoke */
function line(token, revoke) {
  const { created_at: made, expires_at: until, last_used_at: used } = token;
  const ends = until !== null && (until * 1000 < Date.now() ? texts.expired : texts.expires(moment(until)));
  const about = [texts.made(moment(made)), used === null ? texts.neverUsed : texts.used(ago(used)), ends].filter(Boolean).join(" · ");
  const name = nameOf(token);
  return element(
    "li",
    {},
    icon("key"),
    element("div", { class: "about" }, element("strong", {}, element("bdi", {}, name)), element("small", {}, about)),
    button(texts.revokeThis(isolate(name)), revoke, { sign: texts.revoke, class: "link" }),
  );
}

/** @param {Token} token */
function nameOf({ label, token_id: id }) {
  return upright(label) || id;
}
