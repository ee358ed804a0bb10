/** What people read of tasks, in each language. */

import { textsOf } from "../../app/words.js";

export const texts = textsOf({
  en: {
    task: "Task",
    tasks: "Tasks",
    none: "No tasks yet.",
    doneBy: (/** @type {string} */ who) => `Done by ${who}`,
    for: (/** @type {string} */ who) => `For ${who}`,
    due: (/** @type {string} */ time) => `due ${time}`,
    wasDue: (/** @type {string} */ time) => `was due ${time}`,
    title: "What is to be done?",
    assignee: "For",
    anybody: "Anybody",
    dueAt: "Due (if at all)",
    add: "Add",
  },
  fr: {
    task: "Tâche",
    tasks: "Tâches",
    none: "Aucune tâche pour l’instant.",
    doneBy: (who) => `Faite par ${who}`,
    for: (who) => `Pour ${who}`,
    due: (time) => `échéance\u00a0: ${time}`,
    wasDue: (time) => `échéance dépassée\u00a0: ${time}`,
    title: "Que faut-il faire\u00a0?",
    assignee: "Pour",
    anybody: "N’importe qui",
    dueAt: "Échéance (facultatif)",
    add: "Ajouter",
  },
});
