"""The tests of the JavaScript SDK, run by node; a file of theirs is a test here."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

import relay
from tests.js.forks import offered

HERE = Path(__file__).parent
SDK = Path(relay.__file__).parent / "web" / "sdk"
PROGRAM = str(Path(os.environ.get("RELAY_BIN") or Path(sys.executable).with_name("relay")).absolute())
LONGEST_SECONDS = 300
FILES = sorted(path.relative_to(HERE).as_posix() for path in HERE.glob("[!n]*/**/*.test.js"))


def missing() -> str | None:
    """Name what is not there to run the tests, or return None."""
    node = shutil.which("node")
    if node is None:
        return "no node"
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    if int(version.lstrip("v").split(".")[0]) < 20:
        return f"node is {version.strip()}; the SDK needs 20 or newer"
    if not (HERE / "node_modules" / "ws").is_dir():
        return "what the tests need is not installed: make tests/js/node_modules/.installed"
    return None


pytestmark = pytest.mark.long
LACK = missing()
needs_node = pytest.mark.skipif(LACK is not None, reason=str(LACK))


def run(*words: str, **variables: str) -> str:
    """Run node in this folder and return what it prints; a failure shows the end of that."""
    environ = {**os.environ, "RELAY_COMMAND": PROGRAM, **variables}
    child = subprocess.Popen(
        ["node", *words],
        cwd=HERE,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        printed, errors = child.communicate(timeout=LONGEST_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)  # with the servers that it has started
        printed, errors = child.communicate()
        raise AssertionError(f"not over after {LONGEST_SECONDS} s: {(printed + errors)[-20_000:]}") from None
    assert child.returncode == 0, (printed + errors)[-20_000:]
    return printed


@pytest.fixture(scope="module")
def variables() -> Iterator[dict[str, str]]:
    """What tells node where it gets servers: forks, unless a program is the thing under test."""
    if "RELAY_BIN" in os.environ:
        yield {}
        return
    with TemporaryDirectory(prefix="relay-js-") as folder, offered(Path(folder)) as path:
        yield {"RELAY_FORKS": str(path)}


@needs_node
@pytest.mark.parametrize("file", FILES)
def test_the_tests_of_a_file_pass_in_node(file: str, variables: dict[str, str]) -> None:
    printed = run("--test-reporter=tap", file, **variables)  # with --test it would only start another node
    assert int(re.findall(r"^# pass (\d+)$", printed, re.MULTILINE)[-1]) > 0
    print(*printed.splitlines()[-8:], sep="\n")


@needs_node
def test_the_sdk_is_within_its_size() -> None:
    print(run("tools/size.js"))


@needs_node
def test_the_bundle_of_the_page_is_of_its_modules_and_small_enough_for_a_first_view() -> None:
    print(run("tools/bundle.js", "--check"))


def code_of(page: str) -> str:
    """Return what a page of the SDK's documentation shows in TypeScript, as one module."""
    text = (HERE.parents[1] / "docs" / "sdk" / page).read_text()
    return "\n".join(re.findall(r"^```ts\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The SDK as its npm package: TypeScript takes long to make its declarations."""
    return run("tools/pack.js", str(tmp_path_factory.mktemp("sdk"))).strip()


def install(archive: str, folder: Path) -> None:
    """Install the SDK's package in a folder beside what Node's declarations need."""
    package = folder / "node_modules" / "relay-sdk"
    package.mkdir(parents=True)
    subprocess.run(["tar", "xzf", archive, "-C", str(package), "--strip-components=1"], check=True)
    for name in ("@types", "undici-types"):
        (folder / "node_modules" / name).symlink_to(HERE / "node_modules" / name)


@needs_node
@pytest.mark.long
def test_a_program_without_the_declarations_of_a_browser_compiles(archive: str, tmp_path: Path) -> None:
    install(archive, tmp_path)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    names = re.findall(r"^export \{ ([^}]+) \}", (SDK / "index.js").read_text(), re.MULTILINE)
    (tmp_path / "bot.ts").write_text(
        f'import {{ {", ".join(names)} }} from "relay-sdk";\nimport {{ fileStorage }} from "relay-sdk/node";\n'
        'export const socket = new SocketManager("https://relay.example.org", "token", { storage: fileStorage("state") });\n'
        f"export const all = [{', '.join(names)}];\n"
    )
    run(
        "node_modules/typescript/bin/tsc",
        *[
            "--strict",
            "--lib",
            "es2023",
            "--types",
            "node",
            "--target",
            "es2022",
            "--module",
            "nodenext",
            "--skipLibCheck",
            "false",
            "--noEmit",
        ],
        str(tmp_path / "bot.ts"),
    )


@needs_node
@pytest.mark.long
def test_an_application_in_typescript_uses_the_package_by_its_declarations(archive: str, tmp_path: Path) -> None:
    install(archive, tmp_path)
    for path in (HERE / "types").iterdir():
        shutil.copy(path, tmp_path)
    (tmp_path / "page.ts").write_text(code_of("typescript.md"))
    run("node_modules/typescript/bin/tsc", "-p", str(tmp_path))
    program = "import { SocketManager } from 'relay-sdk'; import { fileStorage } from 'relay-sdk/node'; console.log(typeof fileStorage)"
    used = subprocess.run(
        ["node", "--input-type=module", "-e", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert used.stdout.strip() == "function", used.stderr


def test_the_package_has_the_version_of_the_server_and_no_dependencies() -> None:
    package = json.loads((SDK / "package.json").read_text())
    assert package["version"] == relay.__version__
    assert "dependencies" not in package
