/** About this server and this page. */

import { element } from "../dom.js";
import { BASE } from "../session.js";
import { words } from "../words.js";
import { loaded } from "./parts.js";

/** @import { Messenger } from "../messenger.js" */

const texts = words.settings.about;

/** @param {Messenger} messenger */
export function draw({ messaging: { restApi } }) {
  const facts = (/** @type {string} */ version) =>
    element(
      "dl",
      {},
      element("dt", {}, texts.server),
      element("dd", {}, element("bdi", {}, BASE)),
      element("dt", {}, texts.version),
      element("dd", {}, element("bdi", {}, version)),
    );
  return [
    element("p", { class: "intro" }, texts.product),
    loaded(
      () => restApi.request("GET", "/openapi.json").then(({ info }) => info.version, () => texts.unknown),
      facts,
    ),
    element("p", { class: "note" }, texts.licence),
    element("p", { class: "note" }, texts.install),
  ];
}
