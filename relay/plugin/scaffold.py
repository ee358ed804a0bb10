"""The scaffold of `relay plugins new`: a small plugin that works, with its test, to start from."""

from __future__ import annotations

import keyword
import re
from pathlib import Path
from string import Template
from typing import Final

from relay.plugin import page_scaffold

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")

_PLUGIN: Final = Template('''\
"""`$name`: what it is, in one line."""

from relay.plugin import Draft, ErrorCode, Kind, MessageType, Payload, RelayError, hookimpl


class $struct(Payload):
    """What a `$name` says; unknown fields are refused."""

    text: str
    stars: int = 0


def prepare(draft: Draft) -> None:
    """Refuse what cannot be right; who sent it is told why."""
    if not 0 <= draft.payload.stars <= 5:
        raise RelayError(ErrorCode.INVALID_PAYLOAD, f"stars are 0 to 5, not {draft.payload.stars}")


@hookimpl
def relay_message_types() -> list[MessageType]:
    """Add `$name`: stored, counted as unread, found by search, for users and groups."""
    return [
        MessageType(
            name="$name",
            payload=$struct,
            kind=Kind.STREAM,
            unread=True,
            search_text=lambda payload: payload.text,
            prepare=prepare,
        )
    ]
''')

_TEST: Final = Template('''\
"""Tests of `$name`: a whole server in memory, on a clock that jumps."""

from pathlib import Path

from relay.testing import RelayWorld


async def test_another_device_gets_it(relay_world: RelayWorld) -> None:
    async with relay_world(Path(__file__).parent, "alice", "bob") as world:
        alice, bob = await world.connect("alice"), await world.connect("bob")
        await alice.request("$name", {"text": "hello", "stars": 5}, "bob")
        assert (await bob.next("$name"))["payload"] == {"text": "hello", "stars": 5}


async def test_too_many_stars_are_refused(relay_world: RelayWorld) -> None:
    async with relay_world(Path(__file__).parent, "alice", "bob") as world:
        alice = await world.connect("alice")
        answer = await alice.request("$name", {"text": "hello", "stars": 6}, "bob")
        assert answer["payload"]["code"] == "invalid_payload"
''')


class BadName(ValueError):
    """The name cannot be a plugin's, or a plugin of that name exists already."""


def write_plugin(name: str, folder: Path, *, page: bool = False) -> list[Path]:
    """Write a plugin and its test into a folder, which is made where it is not there; return the files.

    Args:
        page: whether the plugin draws its messages in relay's own page; it is a folder then, and else one file.

    Raises:
        BadName: the name is no message type's, or one of the files is there.
        OSError: they cannot be written.
    """
    if not _NAME.fullmatch(name) or keyword.iskeyword(name) or name.startswith("test_"):
        raise BadName(
            f"{name!r} cannot be a plugin's name: use a-z, digits and _, a letter first, as in 'star_rating'"
        )
    package = folder / name
    files = {
        package / "__init__.py": page_scaffold.PLUGIN,
        package / "page" / f"{name}.js": page_scaffold.MODULE,
        folder / f"test_{name}.py": page_scaffold.TEST,
    }
    if not page:
        files = {folder / f"{name}.py": _PLUGIN, folder / f"test_{name}.py": _TEST}
    for path in (folder / f"{name}.py", package, *files):
        if path.exists():
            raise BadName(f"{path} is there already")
    words = name.replace("_", " ").strip().capitalize()
    named = {
        "name": name,
        "title": words,
        "struct": "".join(part.capitalize() for part in name.split("_") if part),
    }
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.substitute(named), encoding="utf-8")
    return list(files)
