"""The samples for deployment: settings, a service, proxies, a container. A wheel and the program carry them.

In the source they are the folder `config` at the top of the tree; a wheel has it inside the package.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from relay.settings import render_toml
from relay.settings.problems import did_you_mean

_PACKAGE: Final = Path(__file__).resolve().parent.parent
SETTINGS: Final = "relay.toml"
SAMPLES: Final = {
    SETTINGS: "every setting, with its default and what it is for",
    "production.toml": "settings for a server that people rely on",
    "development.toml": "settings for working on relay, or on a client of it",
    "relay.service": "a systemd unit, for relay in /opt/relay",
    "relay.socket": "a systemd socket, which holds the port while relay is started anew",
    "nginx.conf": "nginx in front of relay",
    "Caddyfile": "Caddy in front of relay",
    "Containerfile": "a container, made from the wheel",
    "grafana.json": "a Grafana dashboard of relay's metrics",
    "alerts.yml": "Prometheus alerts on relay's metrics",
    "fail2ban-filter.conf": "a filter for fail2ban: who tries logins or tokens again and again",
    "fail2ban-jail.conf": "a fail2ban jail with that filter",
}
"""What each of them is for."""


class NoSample(Exception):
    """There is no sample of that name; the text says which there are."""


def folder() -> Path:
    """Return where the samples are: inside an installed package, or at the top of a checkout."""
    installed = _PACKAGE / "samples"
    return installed if installed.is_dir() else _PACKAGE.parent / "config"


def sample(name: str) -> str:
    """Return the text of a sample.

    Raises:
        NoSample: there is none of that name.
    """
    if name not in SAMPLES:
        hint = did_you_mean(name, SAMPLES) or f"there are: {', '.join(SAMPLES)}"
        raise NoSample(f"there is no sample {name!r}; {hint}")
    if name == SETTINGS:
        return render_toml()
    return (folder() / name).read_text(encoding="utf-8")
