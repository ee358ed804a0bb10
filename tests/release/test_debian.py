"""The Debian package, as far as it can be read without making it."""

from __future__ import annotations

import subprocess

import pytest

from release.debian import ROOT, SCRIPTS, unit


def test_its_service_is_the_sample_with_the_packages_program_and_user() -> None:
    sample = (ROOT / "config/relay.service").read_text()
    made = unit(sample)
    assert made.startswith("[Unit]\n")
    assert "ExecStart=/usr/bin/relay serve --config /etc/relay/relay.toml\n" in made
    assert "\nUser=relay\nGroup=relay\n" in made
    assert "DynamicUser" not in made
    assert "/usr/local" not in made
    assert len(made.splitlines()) == len(sample[sample.index("[Unit]") :].splitlines()) + 1


@pytest.mark.parametrize("name", ["postinst", "prerm", "postrm"])
def test_its_scripts_are_ones_of_the_shell(name: str) -> None:
    text = (SCRIPTS / name).read_text()
    assert text.startswith("#!/bin/sh\nset -e\n")
    subprocess.run(["sh", "-n"], input=text, text=True, check=True)
