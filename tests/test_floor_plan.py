"""The laws of the floors: no import up, no circle of files, one door for each library, plugins within their contract."""

import pytest

from tests.floors import (
    FLOORS,
    ROOT,
    Import,
    arrows_up,
    circle,
    graph,
    imports,
    modules,
    outside_the_contract,
    past_the_contract,
)

ONE_DOOR = {
    "hypercorn": {"relay/transports/rest/serving.py"},
    "h11": {"relay/transports/rest/serving.py"},
    "wsproto": {"relay/transports/odd_frames.py", "relay/testing/device.py"},
    "quart": {"relay/transports/rest", "relay/http"},
    "prometheus_client": {"relay/transports/rest/metrics.py", "relay/transports/rest/cluster_metrics.py"},
    "cronsim": {"relay/plugin/schedules.py"},
    "segno": {"relay/http/qr_codes.py"},
    "quart_trio": {"relay/transports/rest"},
    "sqlite_utils": {"relay/storage/first_migrations.py", "relay/storage/migrations.py"},
    "argon2": {"relay/services/passwords.py"},
    "httpx": {"relay/client"},
    "jsonschema": {"relay/testing/shapes.py"},
    "httpcore": {"relay/http/client.py"},
    "mcp": {"plugins/mcp/protocol.py"},
    "nats": {"relay/cluster/nats_client.py"},
    "tomlkit": {"relay/settings/toml_writer.py"},
    "idna": {"relay/http/addresses.py"},
    "trio_websocket": {"relay/transports/odd_frames.py", "relay/client"},
}
NO_IO = {"msgspec", "relay", "__future__", "collections", "enum", "functools", "re", "struct", "typing"}
"""All that the ground floor imports."""


def named(steps: list[Import]) -> str:
    """Return imports as lines to go to."""
    return "".join(f"\n  {step.place} imports {step.name or step.module} from {step.module}" for step in steps)


def test_no_import_goes_up() -> None:
    up = list(arrows_up())
    assert not up, named(up)


def test_every_module_is_on_a_floor() -> None:
    folders = {path.relative_to(ROOT / "relay").parts[0].removesuffix(".py") for path in modules("relay").values()}
    assert folders == {*FLOORS, "client", "testing", "__init__", "__main__"}


def test_no_files_import_each_other_in_a_circle() -> None:
    found = circle(graph("relay", "plugins"))
    assert not found, named(found)


def test_bundled_plugins_import_the_authors_contract_alone() -> None:
    outside = list(outside_the_contract())
    assert not outside, named(outside)


def test_bundled_plugins_reach_no_service_past_the_authors_contract() -> None:
    past = list(past_the_contract())
    assert not past, f"use server.groups, server.conversations and their like: {past}"


@pytest.mark.parametrize("library", ONE_DOOR)
def test_each_library_is_named_behind_its_one_door(library: str) -> None:
    doors = ONE_DOOR[library]
    inside = [step for path in modules("relay", "plugins").values() for step in imports(path)]
    named_in = {str(step.path.relative_to(ROOT)): step for step in inside if step.module.split(".")[0] == library}
    others = [
        step
        for name, step in named_in.items()
        if not any(name == door or name.startswith(door + "/") for door in doors)
    ]
    assert not others, f"only {sorted(doors)} may:{named(others)}"


def test_the_ground_floor_performs_no_io() -> None:
    ground = [
        step
        for name, path in modules("relay/protocol").items()
        for step in imports(path)
        if name != "relay.protocol.__main__"  # a command, which prints
    ]
    others = [step for step in ground if step.module.split(".")[0] not in NO_IO]
    assert not others, named(others)


def test_no_file_is_longer_than_a_reader_can_hold() -> None:
    lines = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in modules("relay", "plugins").values()
    }
    assert not {path: count for path, count in lines.items() if count > 400}
