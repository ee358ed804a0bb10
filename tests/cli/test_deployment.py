"""The samples in config/ are what people set servers up with: each is read as what it is for reads it."""

from __future__ import annotations

import os
import shutil
import subprocess
from configparser import RawConfigParser
from pathlib import Path

import pytest

from relay.settings import Settings, load
from tests.cli.conftest import Run

CONFIG = Path(__file__).parents[2] / "config"


@pytest.mark.parametrize("name", ["development", "production"])
def test_an_overlay_loads_and_passes_the_check(run: Run, folder: Path, name: str) -> None:
    here = {"RELAY_STORAGE__PATH": str(folder / "relay.db")}  # systemd makes the folder of the service
    checked = run("config", "check", "--config", str(CONFIG / f"{name}.toml"), env=here).output
    assert checked.endswith(".toml: ok\n")


def test_the_production_settings_are_the_careful_ones() -> None:
    settings = load(CONFIG / "production.toml", {})
    assert settings.storage.durability == "full"
    assert settings.accounts.registration == "invite"
    assert settings.server.host == "127.0.0.1"
    assert settings.server.trusted_proxies
    unit = read_unit()
    assert settings.limits.connections < int(unit["LimitNOFILE"])
    assert settings.timeouts.drain_seconds < int(unit["TimeoutStopSec"])
    assert settings.storage.path == f"/var/lib/{unit['StateDirectory']}/relay.db"


def read_unit() -> dict[str, str]:
    parser = RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(CONFIG / "relay.service")
    return dict(parser["Service"])


def test_the_service_runs_with_little_power() -> None:
    unit = read_unit()
    assert unit["ExecStart"].endswith("relay serve --config /etc/relay/relay.toml")
    assert unit["ExecStartPre"].split()[0] == unit["ExecStart"].split()[0]
    for key, value in (("DynamicUser", "yes"), ("ProtectSystem", "strict"), ("NoNewPrivileges", "yes")):
        assert unit[key] == value


def test_nginx_waits_longer_than_a_heartbeat_takes() -> None:
    text = (CONFIG / "nginx.conf").read_text()
    seconds = int(text.split("proxy_read_timeout ")[1].split("s;")[0])
    assert seconds > 2 * Settings().heartbeat.interval_seconds


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")
def test_nginx_accepts_its_sample(tmp_path: Path) -> None:
    # Without the certificates, which are not here: the lines about TLS are nginx's own.
    lines = (CONFIG / "nginx.conf").read_text().splitlines()
    kept = [line.replace(" ssl;", ";") for line in lines if "ssl_certificate" not in line]
    (tmp_path / "relay.conf").write_text("\n".join(kept))
    (tmp_path / "nginx.conf").write_text(
        f"pid {tmp_path}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{ include {tmp_path}/relay.conf; }}\n"
    )
    done = subprocess.run(
        ["nginx", "-t", "-c", str(tmp_path / "nginx.conf")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(shutil.which("caddy") is None, reason="caddy is not installed (apt-get install caddy)")
def test_caddy_accepts_its_sample(tmp_path: Path) -> None:
    done = subprocess.run(
        ["caddy", "adapt", "--config", str(CONFIG / "Caddyfile"), "--adapter", "caddyfile", "--validate"],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr


def test_the_proxies_take_what_the_server_takes() -> None:
    nginx, settings = (CONFIG / "nginx.conf").read_text(), Settings()
    most = int(nginx.split("client_max_body_size ")[1].split("m;")[0]) << 20
    assert most >= max(settings.attachments.max_bytes, settings.limits.body_bytes)
    assert "proxy_set_header Host              $http_host;" in nginx


def test_the_container_is_not_root_and_keeps_its_data_apart() -> None:
    text = (CONFIG / "Containerfile").read_text()
    assert "\nCOPY relay_server-*.whl /wheel/\n" in text  # and no source tree
    last = text[text.rindex("\nFROM ") :]
    assert "\nUSER 10001:10001\n" in last
    assert "\nVOLUME /data\n" in last
    assert "\nHEALTHCHECK " in last
    assert last.index("useradd") < last.index("USER 10001") < last.index('CMD ["relay"')
