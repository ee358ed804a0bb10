"""relay/web/sdk/protocol.js is what `python -m relay.protocol javascript` writes."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from relay.protocol.errors import CloseCode
from relay.protocol.javascript import render_javascript

ROOT = Path(__file__).resolve().parents[2]
COMMAND = "python -m relay.protocol javascript > relay/web/sdk/protocol.js"


def test_the_file_in_the_tree_is_the_one_that_is_generated() -> None:
    file = ROOT / "relay" / "web" / "sdk" / "protocol.js"
    assert file.read_text(encoding="utf-8") == render_javascript(), f"protocol.js is stale; run: {COMMAND}"


def test_the_command_writes_it_and_refuses_anything_else() -> None:
    run = [sys.executable, "-m", "relay.protocol"]
    written = subprocess.run([*run, "javascript"], capture_output=True, check=True)
    assert written.stdout.decode() == render_javascript()
    refused = subprocess.run([*run, "cobol"], capture_output=True, check=False, text=True)
    assert (refused.returncode, refused.stderr) == (2, "usage: python -m relay.protocol javascript\n")


def test_each_value_is_an_export_of_its_own_that_needs_no_import() -> None:
    statements = re.sub(r"/\*\*.*?\*/|//[^\n]*", "", render_javascript(), flags=re.DOTALL).split(";")
    assert all(statement.strip().startswith("export const ") for statement in statements[:-1])
    assert statements[-1].strip() == ""


def test_every_close_code_has_its_constant() -> None:
    found = dict(re.findall(r"^export const CLOSE_(\w+) = (\d+);$", render_javascript(), re.MULTILINE))
    assert {name: int(code) for name, code in found.items()} == {code.name: code for code in CloseCode}
