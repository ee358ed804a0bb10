"""`relay schema --typescript`: what it says, and that TypeScript agrees."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from relay.engine.registry import Registry
from relay.transports.schemas.typescript import typescript
from tests.transports.schemas.test_messages import registry

__all__ = ["registry"]

ROOT = Path(__file__).parents[3]
SDK = ROOT / "relay" / "web" / "sdk" / "types.d.ts"
BARE_SDK = "export interface MessageTypes {}\nexport type Role = 'owner';\n"
"""What the SDK has of it, for a tree without the SDK."""

PLUGIN = '''
import enum
from typing import Annotated, Any, Literal
from msgspec import Meta
import msgspec
from relay.plugin import ConversationKind, Kind, MessageType, Payload, hookimpl

class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"

class Role(Payload):
    """Not the server's Role."""
    name: str

class Point(msgspec.Struct):
    x: float
    y: float | None = None

class BoardMove(Payload):
    """A move */ on a board."""
    place: tuple[int, int]
    piece: Literal["king", "queen"]
    colour: Colour
    role: Role
    points: Annotated[list[Point | str], Meta(max_length=3)] = []
    level: Annotated[int, Meta(ge=1, le=5, description="how hard")] = 1
    notes: dict[str, list[int]] = {}
    free: Any = None
    odd_name: str = msgspec.field(name="odd-name", default="")

class Reaction(Payload):
    """Named as a core type's payload."""
    n: int

class Nested(Payload):
    reaction: Reaction

@hookimpl
def relay_message_types(options: Any) -> list[MessageType]:
    return [
        MessageType(name="board_move", payload=BoardMove, kind=Kind.STREAM),
        MessageType(name="nested", payload=Nested, kind=Kind.STREAM),
    ]
'''
USE = """
import type { MessageTypes } from "relay-sdk";
import type { BoardMove } from "./relay-types";

const text: MessageTypes["chat_message"] = { content: "hello", extra: { anything: [1, "two"] } };
const status: MessageTypes["status_update"] = { status: "away" };
const move: BoardMove = {
  place: [1, 2], piece: "king", colour: "red", role: { name: "first" }, points: ["a", { x: 1, y: null }],
  notes: { a: [1] }, "odd-name": "x",
};
// @ts-expect-error there is no such status
const wrong: MessageTypes["status_update"] = { status: "asleep" };
// @ts-expect-error content is missing
const empty: MessageTypes["chat_message"] = {};
// @ts-expect-error there is no such piece
const pawn: MessageTypes["board_move"] = { ...move, piece: "pawn" };
export { text, status, move, wrong, empty, pawn };
"""
"""What an application writes; each error that is expected must be one."""


def test_a_payload_is_an_interface_with_comments_unions_and_optional_fields(registry: Registry) -> None:
    told = typescript(registry)
    assert 'declare module "relay-sdk" {\n  interface MessageTypes {\n' in told
    assert "    chat_message: ChatMessage;\n" in told
    assert '  once?: "message" | "never" | "user";\n' in told
    assert "/** A text that people write, with attachments," in told
    assert "  extra?: Record<string, unknown>;\n" in told
    assert '  level?: "error" | "info" | "success" | "warning";\n' in told
    assert "connection_event" not in told


def load(folder: Path) -> Registry:
    from relay.app.plugin_admin import load_for
    from relay.settings import load

    folder.mkdir()
    (folder / "boards.py").write_text(PLUGIN)
    registry = load_for(load(None, {"RELAY_PLUGINS__DIRECTORIES": str(folder)}))
    assert registry.broken == []
    return registry


def test_names_never_collide(tmp_path: Path) -> None:
    told = typescript(load(tmp_path / "plugins.d"))
    declared = [
        line.split()[2] for line in told.splitlines() if line.startswith(("export interface", "export type"))
    ]
    assert len(set(declared)) == len(declared)
    assert "export interface relay_plugin_boards_Reaction {" in told
    assert "  reaction: relay_plugin_boards_Reaction;" in told
    assert "A move * / on a board." in told
    assert '  "odd-name"?: string;' in told
    assert "  points?: (string | Point)[];" in told or "  points?: (Point | string)[];" in told


def compiler() -> list[str] | None:
    """Find TypeScript's compiler, the tests' own or the machine's."""
    own = ROOT / "tests" / "js" / "node_modules" / "typescript" / "bin" / "tsc"
    if own.exists() and shutil.which("node"):
        return ["node", str(own)]
    return ["tsc"] if shutil.which("tsc") else None


@pytest.mark.skipif(compiler() is None, reason="TypeScript is not installed")
def test_typescript_takes_it_and_finds_what_is_wrong(tmp_path: Path) -> None:
    command = compiler()
    assert command is not None
    sdk = tmp_path / "node_modules" / "relay-sdk"
    sdk.mkdir(parents=True)
    named = {"name": "relay-sdk", "version": "1.0.0", "type": "module", "types": "index.d.ts"}
    (sdk / "package.json").write_text(json.dumps(named))
    (sdk / "index.d.ts").write_text('export * from "./types.js";\n')
    (sdk / "types.d.ts").write_text(SDK.read_text() if SDK.exists() else BARE_SDK)
    (tmp_path / "relay-types.d.ts").write_text(typescript(load(tmp_path / "plugins.d")))
    (tmp_path / "app.ts").write_text(USE)
    strict = ["--strict", "--noEmit", "--module", "nodenext", "--target", "es2022"]
    done = subprocess.run(
        [*command, *strict, "relay-types.d.ts", "app.ts"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
