"""The Debian package, as far as it can be read without making it."""

from __future__ import annotations

import subprocess
import tomllib

import pytest

from relay.settings import Settings
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


def test_the_port_of_its_socket_is_that_of_its_settings() -> None:
    socket = (ROOT / "config/relay.socket").read_text()
    settings = tomllib.loads((ROOT / "config/production.toml").read_text())
    server = Settings().server
    host = settings.get("server", {}).get("host", server.host)
    port = settings.get("server", {}).get("port", server.port)
    assert f"\nListenStream={host}:{port}\n" in socket


@pytest.mark.parametrize(("script", "action"), [("prerm", "stop"), ("postrm", "purge")])
def test_its_socket_goes_with_it(script: str, action: str) -> None:
    text = (SCRIPTS / script).read_text()
    (line,) = [one for one in text.splitlines() if f" {action} " in one and "systemd" in one]
    assert {"relay.socket", "relay.service"} <= set(line.split())
