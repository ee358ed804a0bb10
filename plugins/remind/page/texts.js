/** What people read of reminders, in each language. */

import { textsOf } from "../../app/words.js";

export const texts = textsOf({
  en: {
    remind: "Remind",
    reminder: "Reminder",
    gist: (/** @type {string} */ text) => `Reminder: ${text}`,
    gistToCome: (/** @type {string} */ text) => `Reminder to come: ${text}`,
    comes: (/** @type {string} */ time) => `comes ${time}`,
    came: (/** @type {string} */ time) => `came ${time}`,
    cancel: "Cancel",
    of: "Remind of",
    at: "At",
    everybody: "Everybody here, not only me",
    waiting: "Yours that wait",
    forYou: (/** @type {string} */ time) => `${time}, for you`,
    forOther: (/** @type {string} */ time, /** @type {string} */ who) => `${time}, for ${who}`,
  },
  fr: {
    remind: "Rappeler",
    reminder: "Rappel",
    gist: (text) => `Rappel\u00a0: ${text}`,
    gistToCome: (text) => `Rappel à venir\u00a0: ${text}`,
    comes: (time) => `à venir\u00a0: ${time}`,
    came: (time) => `envoyé\u00a0: ${time}`,
    cancel: "Annuler",
    of: "Rappeler",
    at: "Quand",
    everybody: "À tout le monde ici, pas seulement à moi",
    waiting: "Vos rappels à venir",
    forYou: (time) => `${time}, pour vous`,
    forOther: (time, who) => `${time}, pour ${who}`,
  },
});
