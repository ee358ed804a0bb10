/** The actions of a message: its buttons, selects and forms, and what became of them. */

import { ask, button, element, fill, openDialog } from "../dom.js";
import { isolate, listed, upright } from "../format.js";
import { may } from "../groups/may.js";
import { problem } from "../problems.js";
import { counted, words } from "../words.js";

/** @import { Action, FormField, MessageView } from "../../sdk/index.js" */
/** @import { ActionsView } from "../../sdk/store/actions.js" */
/** @import { Messenger } from "../messenger.js" */

const told = words.message.actions;

/** @typedef {{ value?: string, values?: Record<string, string | number | boolean> }} Answer */
/** @typedef {(action: Action, answer?: Answer) => Promise<void>} Send */

/** The messages to which an answer is on its way, by their ids. @type {Set<number>} */
const pending = new Set();

/**
 * Draw the actions below a message; nothing where it has none.
 *
 * @param {MessageView} message
 * @param {Messenger} messenger
 * @param {string | null} role the user's in its conversation
 * @returns {HTMLElement[]}
 */
export function drawActions(message, messenger, role) {
  const { actions, messageId } = message;
  if (!actions) return [];
  const refusal = refusalOf(actions, messenger, role);
  const answered = actions.once !== "never" && actions.mine !== null;
  const shut = messageId === null || actions.closed || answered || refusal !== "";
  const place = element("div", { class: "offer", role: "group", "aria-label": told.group });
  /** @type {Send} */
  const send = async (action, answer) => {
    if (messageId === null) return;
    pending.add(messageId);
    disable(place, true);
    const sent = messenger.messaging.act(messageId, action.id, answer);
    try {
      await sent;
      messenger.notices.speak(told.answered(isolate(action.label)));
      if (actions.once === "never") disable(place, false);
    } catch (error) {
      void messenger.messaging.discardMessage(sent.id);
      disable(place, false);
      throw error;
    } finally {
      pending.delete(messageId);
    }
  };
  fill(place, ...actions.elements.map((action) => drawAction(action, actions, send, messenger.failed)));
  if (shut || pending.has(messageId)) disable(place, true);
  const outcome = outcomeOf(actions, messenger, refusal);
  return outcome ? [place, element("p", { class: "outcome note", dir: "auto" }, outcome)] : [place];
}

/**
 * Tell whether the user may close the actions of a message.
 *
 * @param {MessageView} message
 * @param {import("../../sdk/index.js").ConversationView} view
 */
export function mayClose({ actions, mine }, view) {
  return actions !== null && !actions.closed && (mine || (view.kind === "group" && may(view, "end_others")));
}

/** @param {string | null} role */
function isAdmin(role) {
  return role === "owner" || role === "admin";
}

/** @param {Action} action @param {ActionsView} actions @param {Send} send @param {(error: unknown) => void} failed */
function drawAction(action, { mine }, send, failed) {
  const { id, style, confirm } = action;
  const label = upright(action.label);
  const chosen = mine?.action === id;
  /** @param {Answer} [answer] */
  const give = async (answer) => {
    if (!confirm || (await ask(upright(confirm), label))) await send(action, answer);
  };
  const attributes = { class: style, "aria-pressed": chosen && "true" };
  if (action.type === "select") return drawSelect(action, chosen ? mine.value : undefined, (value) => give({ value }).catch(failed));
  if (action.type === "form") return button(`${label} …`, () => openForm(action, (values) => give({ values })), { ...attributes, "aria-haspopup": "dialog" });
  return button(label, () => void give().catch(failed), attributes);
}

/**
 * Draw a select with a button of its own: an arrow key alone sends nothing.
 *
 * @param {Extract<Action, { type: "select" }>} action
 * @param {string | undefined} chosen
 * @param {(value: string) => void} give
 */
function drawSelect({ label, options, style }, chosen, give) {
  const select = element("select", { "aria-label": upright(label), required: true }, ...drawOptions(options, upright(label), chosen));
  const press = () => (select.value ? give(select.value) : select.focus());
  return element("span", { class: "pick" }, select, button(told.sendOne(upright(label)), press, { sign: told.send, class: style }));
}

/** @param {{ value: string, label?: string }[]} options @param {string} nothing @param {string} [chosen] */
function drawOptions(options, nothing, chosen) {
  return [
    element("option", { value: "" }, nothing),
    ...options.map(({ value, label }) => element("option", { value, selected: value === chosen }, upright(label ?? value))),
  ];
}

/**
 * Open a form, and keep it open until its values are stored.
 *
 * @param {Extract<Action, { type: "form" }>} form
 * @param {(values: Record<string, string | number | boolean>) => Promise<void>} give
 */
function openForm({ label, fields, style }, give) {
  const drawn = fields.map(drawField);
  const failure = element("p", { class: "failure", role: "alert" });
  const send = element("button", { class: style === "danger" ? "danger" : "primary" }, told.send);
  const submit = async () => {
    fill(failure);
    send.disabled = true;
    try {
      const given = drawn.flatMap(({ name, value }) => {
        const said = value();
        return said === undefined ? [] : [[name, said]];
      });
      await give(Object.fromEntries(given));
      dialog.close();
    } catch (error) {
      fill(failure, problem(error));
    } finally {
      send.disabled = false;
    }
  };
  const onsubmit = (/** @type {Event} */ event) => (event.preventDefault(), void submit());
  const body = element("form", { class: "questions", onsubmit }, ...drawn.map(({ node }) => node), failure, element("p", { class: "choice" }, send));
  const dialog = openDialog(upright(label), body);
  /** @type {HTMLElement | null} */ (body.querySelector("input, textarea, select"))?.focus();
}

/**
 * Draw a field of a form; `value` reads it: undefined for one that is left empty.
 *
 * @param {FormField} field
 * @returns {{ name: string, node: HTMLElement, value: () => string | number | boolean | undefined }}
 */
function drawField(field) {
  const { name, required } = field;
  const label = upright(field.label);
  const named = element("span", {}, label, !required && field.type !== "checkbox" && element("small", {}, ` ${told.optional}`));
  if (field.type === "checkbox") {
    const box = element("input", { type: "checkbox", name, required });
    return { name, node: element("label", { class: "check" }, box, named), value: () => box.checked };
  }
  const input = drawInput(field, { name, required, dir: "auto" });
  const value = () => {
    const said = input.value.trim();
    return said === "" ? undefined : field.type === "number" ? Number(said) : said;
  };
  return { name, node: element("label", {}, named, input), value };
}

/** @param {Exclude<FormField, { type: "checkbox" }>} field @param {Record<string, any>} attributes */
function drawInput(field, attributes) {
  if (field.type === "select") return element("select", attributes, ...drawOptions(field.options, ""));
  const { type, min, max } = field;
  if (type !== "text") return element("input", { ...attributes, type, min, max, step: type === "number" ? "any" : null });
  const bounds = { ...attributes, minlength: min, maxlength: max ?? 4000 };
  return field.multiline ? element("textarea", { ...bounds, rows: 4 }) : element("input", bounds);
}

/**
 * Return for whom the actions are, where that is not this user; else an empty text.
 *
 * @param {ActionsView} actions
 * @param {Messenger} messenger
 * @param {string | null} role
 */
function refusalOf({ for: whom }, { names, session }, role) {
  if (whom === "everyone") return "";
  if (whom === "admins") return isAdmin(role) ? "" : told.forAdmins;
  return whom.includes(session.userId) ? "" : told.forSome(listed(whom.map((id) => names.of(id))));
}

/** @param {ActionsView} actions @param {Messenger} messenger @param {string} refusal */
function outcomeOf(actions, { names }, refusal) {
  const { answers, closed, closedBy, elements, mine, once, outcome } = actions;
  const by = closedBy === null ? "" : isolate(names.of(closedBy));
  const parts = [];
  if (outcome) parts.push(upright(outcome));
  else if (closed) parts.push(once === "message" && answers > 0 ? told.answeredBy(by) : told.closedBy(by));
  else if (refusal) parts.push(refusal);
  if (mine) parts.push(told.youAnswered(isolate(labelOf(elements, mine))));
  if (once !== "message" && answers > (mine ? 1 : 0)) parts.push(counted(answers, told.answers));
  return parts.join(" · ");
}

/** @param {readonly Action[]} elements @param {NonNullable<ActionsView["mine"]>} mine */
function labelOf(elements, { action: id, value }) {
  const action = elements.find((one) => one.id === id);
  const option = action?.type === "select" ? action.options.find((one) => one.value === value) : undefined;
  return upright(option ? (option.label ?? option.value) : (action?.label ?? id));
}

/** @param {HTMLElement} place @param {boolean} off */
function disable(place, off) {
  for (const control of /** @type {NodeListOf<HTMLButtonElement | HTMLSelectElement>} */ (place.querySelectorAll("button, select")))
    control.disabled = off;
}
