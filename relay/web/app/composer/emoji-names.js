/** Emoji by their short names while a message is written: `:tada` is completed. They are loaded when the first one is typed. */

import { element } from "../dom.js";
import { find, inTone, loadEmoji, readChoices } from "../emoji/data.js";
import { words } from "../words.js";

/** @import { Source } from "./completion.js" */

const MOST = 8;

/** @type {Source} */
export const emojiNames = {
  label: words.composer.emoji,
  word: /(?:^|[^\p{L}\p{N}:/])(:[\p{L}_+-][\p{L}\p{N}_+-]+)$/u,
  load: loadEmoji,
  choices(word) {
    const { tone } = readChoices();
    return find(word, MOST).map((one) => ({
      text: `${inTone(one, tone)} `,
      shown: [
        element("span", { class: "sign", "aria-hidden": "true" }, inTone(one, tone)),
        element("span", { class: "what" }, one.name, " ", one.code && element("span", { class: "note" }, `:${one.code}:`)),
      ],
    }));
  },
};
