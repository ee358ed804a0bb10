"""The texts of `relay plugins new --page`: a plugin with a state that others change, drawn in relay's own page."""

from __future__ import annotations

from string import Template
from typing import Final

PLUGIN: Final = Template('''\
"""`$name`: something to be done; everybody in its conversation may tick it off."""

import sqlite3

from relay.plugin import (
    Draft, Entry, ErrorCode, Integer, Kind, MessageType, PageExtension, Payload, RelayError, find_message,
    hookimpl,
)  # fmt: skip


class $struct(Payload):
    """What is to be done."""

    text: str


class ${struct}Done(Payload):
    """Whether it is done. Several people may say so; what was said last counts."""

    message_id: Integer
    done: bool


def prepare_done(draft: Draft) -> None:
    """Refuse what is not about a `$name` of the same conversation."""

    def apply(connection: sqlite3.Connection, entry: Entry) -> None:
        message = find_message(connection, entry, draft.payload.message_id, "to tick off")
        if message.type != "$name":
            raise RelayError(ErrorCode.INVALID_PAYLOAD, f"message {message.message_id} is a {message.type}")

    draft.apply = apply


@hookimpl
def relay_message_types() -> list[MessageType]:
    """Add `$name`, and what is said about it: a latest type, of which only the newest is kept."""
    return [
        MessageType(
            name="$name", payload=$struct, kind=Kind.STREAM, unread=True, search_text=lambda said: said.text
        ),
        MessageType(
            name="${name}_done",
            payload=${struct}Done,
            kind=Kind.LATEST,
            key=lambda said: str(said.message_id),
            about=lambda said: said.message_id,
            prepare=prepare_done,
        ),
    ]


@hookimpl
def relay_page() -> PageExtension:
    """Draw it in relay's own page: by page/$name.js, beside this file."""
    return PageExtension(folder="page", module="$name.js")
''')

MODULE: Final = Template("""\
/** How relay's own page draws `$name`, and the button beside the paper clip that writes one. */

import { element, openDialog } from "../../app/dom.js";
import { textsOf } from "../../app/words.js";

const texts = textsOf({
  en: { write: "$title: write one", what: "What is to be done?", send: "Send", by: (who) => `Done by $${who}` },
  fr: { write: "$title : écrire", what: "Que faut-il faire ?", send: "Envoyer", by: (who) => `Fait par $${who}` },
});

export const types = {
  $name: {
    /** Return an element for the message; it is asked for again whenever something about the message changes. */
    draw(message, relay) {
      const { done, by } = state(message);
      const tick = async () => {
        const told = await relay.send("${name}_done", { message_id: message.messageId, done: box.checked });
        if (!told) box.checked = done; // refused; the page has told why
      };
      const unsent = message.messageId === null;
      const box = element("input", { type: "checkbox", checked: done, disabled: unsent, onchange: tick });
      const text = element("span", { dir: "auto" }, message.payload.text);
      return element(
        "div",
        {},
        element("label", { class: done ? "check done" : "check" }, box, text),
        done && element("p", { class: "note" }, texts.by(relay.name(by))),
      );
    },

    /** Return the message in one line, for lists and quotes. */
    text: (message) => `$${state(message).done ? "☑" : "☐"} $${message.payload.text}`,
  },
};

export const composer = [{ label: texts.write, sign: "☑", press: write }];

/** Return whether it is done, and who said so. */
function state(message) {
  const last = message.latest.findLast(({ type }) => type === "${name}_done");
  return { done: last?.payload.done ?? false, by: last?.senderId };
}

/** Open the form. */
function write(relay) {
  const text = element("input", { "aria-label": texts.what, required: true, autofocus: true });
  const send = (event) => {
    event.preventDefault();
    relay.send("$name", { text: text.value });
    dialog.close();
  };
  const choice = element("p", { class: "choice" }, element("button", { class: "primary" }, texts.send));
  const dialog = openDialog(texts.what, element("form", { onsubmit: send }, text, choice));
}
""")

TEST: Final = Template('''\
"""Tests of `$name`: a whole server in memory, on a clock that jumps."""

from pathlib import Path

from relay.testing import RelayWorld


async def test_somebody_else_ticks_it_off(relay_world: RelayWorld) -> None:
    async with relay_world(Path(__file__).parent, "alice", "bob") as world:
        alice, bob = await world.connect("alice"), await world.connect("bob")
        ack = (await alice.request("$name", {"text": "Buy bread"}, "bob"))["payload"]
        await bob.request("${name}_done", {"message_id": ack["message_id"], "done": True}, "alice")
        told = await alice.next("${name}_done")
        assert (told["meta"]["sender_id"], told["meta"]["about"]) == ("bob", ack["message_id"])


async def test_nothing_else_can_be_ticked_off(relay_world: RelayWorld) -> None:
    async with relay_world(Path(__file__).parent, "alice", "bob") as world:
        alice = await world.connect("alice")
        ack = (await alice.request("chat_message", {"content": "hello"}, "bob"))["payload"]
        said = {"message_id": ack["message_id"], "done": True}
        answer = await alice.request("${name}_done", said, "bob")
        assert answer["payload"]["code"] == "invalid_payload"
''')
