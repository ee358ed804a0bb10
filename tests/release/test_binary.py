"""The making of the program, as far as it goes without making it: what it needs of a machine, and who runs it."""

from __future__ import annotations

import re
import shutil

import pytest
from PyInstaller.depend import bindepend

from release import binary
from tests.e2e.server import ROOT


def test_a_machine_without_the_tools_or_pythons_library_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def absent() -> str:
        raise bindepend.PythonLibraryNotFoundError("no")

    monkeypatch.setattr(binary.sys, "platform", "linux")
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "objdump" else f"/usr/bin/{name}")
    with pytest.raises(
        SystemExit, match=r"cannot be made here: there is no objdump; on Debian: apt install binutils"
    ):
        binary.main()
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(bindepend, "get_python_library_path", absent)
    with pytest.raises(
        SystemExit, match=r"shared library of .* apt install libpython3\.\d+; .* needs --enable-shared"
    ):
        binary.main()
    monkeypatch.setattr(bindepend, "get_python_library_path", lambda: "/usr/lib/libpython3.so")
    assert binary.lacking() is None


def test_the_build_machine_makes_the_program_and_runs_end_to_end_tests_of_it() -> None:
    script = (ROOT / ".ci/run").read_text().splitlines()
    assert script.index("make test AGAIN=alone") < script.index("make test-binary AGAIN=alone")
    assert {"need binutils objdump", "    missing+=(libpython3-dev)"} <= set(script)
    listed = re.search(
        r"^PROGRAM_TESTS := \$\(addprefix (\S+),(.*?)\)$", (ROOT / "Makefile").read_text(), re.M | re.S
    )
    assert listed is not None
    names = listed[2].replace("\\\n", " ").split()
    assert {"program.py", "one_file.py", "debian_package.py", "delivery.py"} <= set(names)
    assert [name for name in names if not (ROOT / f"{listed[1]}{name}").is_file()] == []
