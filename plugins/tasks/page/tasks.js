/** Tasks in relay's own page: a line with a box to tick, the form that writes one, and the panel of a conversation's tasks. */

import { element, field, fill, icon, openDialog } from "../../app/dom.js";
import { isolate, localSeconds, localTime, moment } from "../../app/format.js";

/** @import { MessageView } from "../../sdk/index.js" */
/** @import { Action, PageModule, Relay, TypeModule } from "../../app/page-module.js" */

/** @typedef {{ id: number | null, title: string, assignee?: string | null, due?: number | null, doneBy?: string | null }} Task */

const ICONS = new URL("icons.svg", import.meta.url).href;
const PAUSE_MS = 5_000;

/** What the server answered of the open tasks of conversations, and when. @type {Map<string, { tasks: Task[], at: number }>} */
const answers = new Map();

/** @type {Record<string, TypeModule>} */
export const types = {
  task: {
    draw: (message, relay) => drawTask(taskOf(message), relay),
    text: (message) => `${taskOf(message).doneBy ? "☑" : "☐"} ${message.payload.title}`,
  },
};

/** @type {Action<[Relay]>[]} */
export const composer = [{ label: "Task", sign: () => icon("task", ICONS), press: (relay) => writeTask(relay) }];

/** @type {PageModule["panel"]} */
export const panel = { label: "Tasks", draw: drawPanel };

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

/** @param {Task} task @param {Relay} relay */
function drawTask({ id, title, assignee, due, doneBy }, relay) {
  const tick = async () => {
    const said = await relay.send("task_done", { task: id, done: box.checked });
    if (!said) box.checked = Boolean(doneBy);
    const known = answers.get(relay.conversation.id);
    if (known) known.at = 0; // it is asked again: this task may be an old one, of which no message is loaded
  };
  const box = element("input", { type: "checkbox", checked: Boolean(doneBy), disabled: id === null, "aria-label": isolate(title), onchange: tick });
  const late = due && !doneBy && due * 1000 < Date.now();
  const facts = doneBy
    ? [`Done by ${isolate(relay.name(doneBy))}`]
    : [assignee && `For ${isolate(relay.name(assignee))}`, due && `${late ? "was due" : "due"} ${moment(due)}`];
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
  const { id } = relay.conversation;
  const show = () => {
    const messages = relay.conversation.messages.filter(({ type, messageId }) => type === "task" && messageId !== null);
    const loaded = new Map(messages.map((message) => [message.messageId, message]));
    const older = answers.get(id)?.tasks.filter((task) => !loaded.has(task.id)) ?? [];
    const tasks = [...older, ...messages.filter(({ deletedAt }) => deletedAt === null).map(taskOf)];
    const rank = (/** @type {Task} */ { doneBy, due }) => (doneBy ? Infinity : (due ?? Number.MAX_SAFE_INTEGER));
    tasks.sort((one, other) => (rank(one) === rank(other) ? 0 : rank(one) - rank(other)));
    fill(list, ...tasks.map((task) => element("li", {}, drawTask(task, relay))));
    if (tasks.length === 0) fill(list, element("li", { class: "note" }, "No tasks yet."));
  };
  const asked = answers.get(id)?.at ?? 0;
  if (Date.now() - asked > PAUSE_MS) void ask(relay).then(show, relay.failed);
  show();
  return list;
}

/** Ask the server for the open tasks, as the messages of older ones are not loaded. @param {Relay} relay */
async function ask(relay) {
  const { id } = relay.conversation;
  answers.set(id, { tasks: answers.get(id)?.tasks ?? [], at: Date.now() });
  const { tasks } = await relay.call("GET", "/api/tasks", { query: { target: id, limit: 100 } });
  answers.set(id, { tasks: tasks.map((/** @type {any} */ { message_id, ...task }) => ({ id: message_id, ...task })), at: Date.now() });
}

/**
 * Open the form. A task that is refused comes back into it: what was written is not lost.
 *
 * @param {Relay} relay
 * @param {Record<string, any>} [said] the payload of a task that was refused
 */
function writeTask(relay, said = {}) {
  const title = element("input", { value: said.title, required: true, maxlength: 300, dir: "auto", autofocus: true, autocomplete: "off" });
  const due = element("input", { type: "datetime-local", value: localTime(said.due) });
  const assignee = element("select", {}, element("option", { value: "" }, "Anybody"));
  void membersOf(relay.conversation, relay).then((members) => {
    for (const member of members) assignee.append(element("option", { value: member, selected: member === said.assignee }, relay.name(member)));
  }, relay.failed);
  /** @param {Event} event */
  const send = async (event) => {
    event.preventDefault();
    dialog.close();
    const parts = { title: title.value.trim(), assignee: assignee.value || undefined, due: localSeconds(due.value) };
    const task = Object.fromEntries(Object.entries(parts).filter(([, value]) => value !== undefined));
    if (!(await relay.send("task", task))) writeTask(relay, task);
  };
  const choice = element("p", { class: "choice" }, element("button", { class: "primary" }, "Add"));
  const fields = [field("What is to be done?", title), field("For", assignee), field("Due (if at all)", due)];
  const dialog = openDialog("Task", element("form", { onsubmit: send }, ...fields, choice));
}

/** @param {Relay["conversation"]} conversation @param {Relay} relay @returns {Promise<string[]>} */
async function membersOf({ id, kind }, relay) {
  if (kind !== "group") return [...new Set([relay.me, id])];
  const { members } = await relay.call("GET", `/api/groups/${encodeURIComponent(id)}`);
  return members.map((/** @type {{ user_id: string }} */ { user_id }) => user_id);
}
