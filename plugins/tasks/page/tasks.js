/** Tasks in relay's own page: a line with a box to tick, and a panel of a conversation's tasks. form.js has the form for new ones. */

import { element, fill, icon } from "../../app/dom.js";
import { isolate, moment } from "../../app/format.js";
import { writeTask } from "./form.js";
import { texts } from "./texts.js";

/** @import { MessageView } from "../../sdk/index.js" */
/** @import { Action, PageModule, Relay, TypeModule } from "../../app/page-module.js" */

/** @typedef {{ id: number | null, title: string, assignee?: string | null, due?: number | null, doneBy?: string | null }} Task */

const ICONS = new URL("icons.svg", import.meta.url).href;
const PAUSE_MS = 5_000;

/** The open tasks of conversations, as the server last answered. @type {Map<string, { tasks: Task[], at: number, answer: Promise<unknown> }>} */
const asked = new Map();

/** @type {Record<string, TypeModule>} */
export const types = {
  task: {
    draw: (message, relay) => drawTask(taskOf(message), relay),
    text: (message) => `${taskOf(message).doneBy ? "☑" : "☐"} ${message.payload.title}`,
  },
};

/** @type {Action<[Relay]>[]} */
export const composer = [{ label: texts.task, sign: () => icon("task", ICONS), press: (relay) => writeTask(relay) }];

/** @type {PageModule["panel"]} */
export const panel = { label: texts.tasks, draw: drawPanel };

/**
 * Return a task as it stands: several people may say whether it is done, and who says it last counts.
 *
 * @param {MessageView} message
 * @returns {Task}
 */
function taskOf({ latest, messageId, payload: { title, assignee, due } }) {
  const last = latest.findLast(({ type }) => type === "task_done");
  return { id: messageId, title, assignee, due, doneBy: last?.payload.done ? last.senderId : null };
}

/**
 * Draw a task.
 *
 * @param {Task} task
 * @param {Relay} relay
 * @param {() => void} [ticked] called once the server knows that it was ticked
 */
function drawTask({ id, title, assignee, due, doneBy }, relay, ticked) {
  const tick = async () => {
    const said = await relay.send("task_done", { task: id, done: box.checked });
    if (said) ticked?.();
    else box.checked = Boolean(doneBy);
  };
  const box = element("input", { type: "checkbox", checked: Boolean(doneBy), disabled: id === null, "aria-label": isolate(title), onchange: tick });
  const late = due && !doneBy && due * 1000 < Date.now();
  const facts = doneBy
    ? [texts.doneBy(isolate(relay.name(doneBy)))]
    : [assignee && texts.for(isolate(relay.name(assignee))), due && (late ? texts.wasDue : texts.due)(moment(due))];
  const about = facts.filter(Boolean).join(" · ");
  return element(
    "div",
    { class: "task" },
    element("label", { class: doneBy ? "check done" : "check" }, box, element("span", { dir: "auto" }, title)),
    about && element("p", { class: late ? "note late" : "note" }, about),
  );
}

/**
 * Draw the tasks of a conversation, open ones first: those of the loaded messages, and older open ones.
 *
 * @param {Relay} relay
 */
function drawPanel(relay) {
  const list = element("ul", { class: "tasks" });
  const { id, messages } = relay.conversation;
  const loaded = messages.filter(({ type, messageId }) => type === "task" && messageId !== null);
  const ids = new Set(loaded.map(({ messageId }) => messageId));
  const present = loaded.filter(({ deletedAt }) => deletedAt === null).map(taskOf);
  const rank = (/** @type {Task} */ { doneBy, due }) => (doneBy ? Infinity : (due ?? Number.MAX_SAFE_INTEGER));
  let shown = "";
  const show = () => {
    const older = asked.get(id)?.tasks.filter((task) => !ids.has(task.id)) ?? [];
    const tasks = [...older, ...present].sort((one, other) => (rank(one) === rank(other) ? Number(other.id) - Number(one.id) : rank(one) - rank(other)));
    if (shown === JSON.stringify(tasks)) return; // the focus stays where it is
    shown = JSON.stringify(tasks);
    fill(list, ...tasks.map((task) => element("li", {}, drawTask(task, relay, () => void ask(relay).then(show)))));
    if (tasks.length === 0) fill(list, element("li", { class: "note" }, texts.none));
  };
  const { at, answer } = asked.get(id) ?? { at: 0 };
  void (answer && Date.now() - at < PAUSE_MS ? answer : ask(relay)).then(show);
  show();
  return list;
}

/** Ask the server for the open tasks, as the messages of older ones are not loaded. @param {Relay} relay */
function ask(relay) {
  const { id } = relay.conversation;
  const known = { tasks: asked.get(id)?.tasks ?? [], at: Date.now(), answer: Promise.resolve() };
  asked.set(id, known);
  const take = (/** @type {{ tasks: any[] }} */ { tasks }) => {
    known.tasks = tasks.map(({ message_id, done_by, ...task }) => ({ id: message_id, doneBy: done_by, ...task }));
  };
  const fail = (/** @type {any} */ error) => void (error.code === "offline" || relay.failed(error)); // the banner tells that one
  known.answer = relay.call("GET", "/api/tasks", { query: { target: id, limit: 100 } }).then(take, fail);
  return known.answer;
}
