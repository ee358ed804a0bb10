/** The form for a new task. */

import { element, field, openDialog } from "../../app/dom.js";
import { localSeconds, localTime } from "../../app/format.js";
import { texts } from "./texts.js";

/** @import { Relay } from "../../app/page-module.js" */

/**
 * Open the form. A task that is refused comes back into it: what was written is not lost.
 *
 * @param {Relay} relay
 * @param {Record<string, any>} [said] the payload of a task that was refused
 */
export function writeTask(relay, said = {}) {
  const title = element("input", { value: said.title, required: true, maxlength: 300, dir: "auto", autofocus: true, autocomplete: "off" });
  const due = element("input", { type: "datetime-local", value: localTime(said.due) });
  const assignee = element("select", {}, element("option", { value: "" }, texts.anybody));
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
  const choice = element("p", { class: "choice" }, element("button", { class: "primary" }, texts.add));
  const fields = [field(texts.title, title), field(texts.assignee, assignee), field(texts.dueAt, due)];
  const dialog = openDialog(texts.task, element("form", { onsubmit: send }, ...fields, choice));
}

/** @param {Relay["conversation"]} conversation @param {Relay} relay @returns {Promise<string[]>} */
async function membersOf({ id, kind }, relay) {
  if (kind !== "group") return [...new Set([relay.me, id])];
  const { members } = await relay.call("GET", `/api/groups/${encodeURIComponent(id)}`);
  return members.map((/** @type {{ user_id: string }} */ { user_id }) => user_id);
}
