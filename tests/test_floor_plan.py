"""The floors: a module imports its own floor and those below it, and each library has one door."""

import ast
from pathlib import Path

import pytest

from relay.protocol.errors import CloseCode, ErrorCode
from relay.protocol.session import Event

ROOT = Path(__file__).resolve().parent.parent
RELAY = ROOT / "relay"

FLOORS = [
    "protocol",
    "settings",
    "wakeup",
    "storage",
    "services",
    "plugin",
    "http",
    "engine",
    "transports",
    "app",
    "cli",
]
BESIDE = {
    "client": {"protocol", "client"},
    "testing": {
        "protocol",
        "settings",
        "storage",
        "services",
        "plugin",
        "http",
        "engine",
        "transports",
        "testing",
    },
}
ONE_DOOR = {
    "hypercorn": {"relay/transports/rest/serving.py"},
    "h11": {"relay/transports/rest/serving.py"},
    "wsproto": {"relay/transports/websocket.py", "relay/testing/device.py"},
    "quart": {"relay/transports/rest", "relay/http"},
    "prometheus_client": {"relay/transports/rest/metrics.py"},
    "quart_trio": {"relay/transports/rest"},
    "sqlite_utils": {"relay/storage/migrations.py"},
    "argon2": {"relay/services/passwords.py"},
    "httpx": {"relay/client"},
    "jsonschema": {"relay/testing/shapes.py"},
    "httpcore": {"plugins/webhooks/posting.py"},
    "trio_websocket": {"relay/transports/websocket.py", "relay/client"},
}
GROUND_FLOOR_MAY_USE = {"msgspec"}


def modules() -> list[Path]:
    return sorted(path for path in RELAY.rglob("*.py"))


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module)
    return found


def floor_of(dotted: str) -> str | None:
    parts = dotted.split(".")
    return parts[1] if parts[0] == "relay" and len(parts) > 1 else None


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_floor_imports_itself_and_those_below_it(path: Path) -> None:
    own = path.relative_to(RELAY).parts[0].removesuffix(".py")
    used = {floor for name in imports(path) if (floor := floor_of(name)) is not None}
    if own in BESIDE:
        assert used <= BESIDE[own]
    elif own in FLOORS:
        allowed = set(FLOORS[: FLOORS.index(own) + 1]) | ({"client"} if own == "cli" else set())
        assert used <= allowed, f"{own} imports {used - allowed}"
    else:
        assert own in {"__init__", "__main__"}


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_each_library_is_named_behind_its_one_door(path: Path) -> None:
    relative = str(path.relative_to(ROOT))
    for name in imports(path):
        doors = ONE_DOOR.get(name.split(".")[0])
        if doors is not None:
            assert any(relative == door or relative.startswith(door + "/") for door in doors), (
                f"{relative} imports {name}; only {sorted(doors)} may"
            )


def test_the_python_client_imports_the_ground_floor_and_nothing_else_of_relay() -> None:
    used = set().union(*(imports(path) for path in (RELAY / "client").glob("*.py")))
    assert "relay" not in used
    assert {floor_of(name) for name in used} - {None} == {"protocol", "client"}


def test_the_python_client_spells_no_code_of_the_protocol_out() -> None:
    codes: set[object] = {*CloseCode, *(str(code) for code in ErrorCode), *(str(event) for event in Event)}
    codes -= {"ack"}  # also the type of an answer, which has no constant
    for path in (RELAY / "client").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Compare | ast.Call):
                spelled = {one.value for one in ast.iter_child_nodes(node) if isinstance(one, ast.Constant)}
                assert not spelled & codes, f"{path.name}:{node.lineno}: {spelled & codes}"


def test_the_ground_floor_performs_no_io() -> None:
    for path in set((RELAY / "protocol").glob("*.py")) - {RELAY / "protocol" / "__main__.py"}:
        for name in imports(path):
            top = name.split(".")[0]
            assert top not in {"trio", "sqlite3", "logging", "time", "os", "socket", "random", "datetime"}, path
            assert top in GROUND_FLOOR_MAY_USE | {
                "relay",
                "__future__",
                "collections",
                "enum",
                "struct",
                "re",
                "typing",
            }


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_is_longer_than_a_reader_can_hold(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400
