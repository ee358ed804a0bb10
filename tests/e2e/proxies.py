"""nginx and Caddy in front of a server: one process with many sites, each of which a test may spoil."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.e2e.server import free_port
from tests.e2e.wire import PATIENCE

PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
PACKAGES = {"nginx": "nginx-light", "caddy": "caddy"}

FRAMES = {
    "nginx": """
daemon off;
USER
worker_processes 1;
pid FOLDER/nginx.pid;
error_log FOLDER/error.log warn;
events { worker_connections 256; }
http {
    access_log off;
    client_body_temp_path FOLDER/body;
    proxy_temp_path FOLDER/proxy;
    fastcgi_temp_path FOLDER/fastcgi;
    uwsgi_temp_path FOLDER/uwsgi;
    scgi_temp_path FOLDER/scgi;
    map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
    SITES
}
""",
    "caddy": """
{
	admin off
	auto_https off
	storage file_system FOLDER/caddy
	OPTIONS
}
SITES
""",
}
SITES = {
    "nginx": """
server {
    listen 127.0.0.1:PORT;
    client_max_body_size 100m;
    location / {
        proxy_pass http://127.0.0.1:UPSTREAM;
        proxy_http_version 1.1;
        proxy_set_header Host $http_host;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $connection_upgrade;
        proxy_set_header X-Forwarded-For $remote_addr;
        proxy_read_timeout 120s;
    }
}
""",
    "caddy": """
http://:PORT {
	bind 127.0.0.1
	request_body {
		max_size 100MiB
	}
	reverse_proxy 127.0.0.1:UPSTREAM {
		header_up X-Spoilt nothing
	}
}
""",
}
HEADS = "servers 127.0.0.1:PORT {\nmax_header_size 64KB\n}"
"""Caddy's option of one site, which stands apart from it."""


class Proxies:
    """One nginx or Caddy before a server.

    Args:
        sites: by their names, texts of the configuration and what stands there instead.

    Attributes:
        ports: of the sites, by their names.
    """

    def __init__(self, kind: str, folder: Path, upstream: int, sites: Mapping[str, Mapping[str, str]]) -> None:
        program = shutil.which(kind, path=PATH)
        if program is None:
            pytest.skip(f"{kind} is not installed (apt-get install {PACKAGES[kind]})")
        self._output = folder / f"{kind}.log"
        self.ports: dict[str, int] = {}
        written: list[str] = []
        heads: list[str] = []
        for name, changes in sites.items():
            self.ports[name] = port = self._port()
            text = SITES[kind] + HEADS
            for old, new in changes.items():
                assert old in text, old
                text = text.replace(old, new)
            site, _, head = text.replace("PORT", str(port)).partition("servers 127")
            written.append(site.replace("UPSTREAM", str(upstream)))
            heads.append(f"servers 127{head}")
        self._start(kind, program, folder, FRAMES[kind].replace("OPTIONS", "\n".join(heads)), "\n".join(written))

    def _start(self, kind: str, program: str, folder: Path, frame: str, sites: str) -> None:
        config, text = folder / f"{kind}.conf", frame.replace("SITES", sites)
        # As root nginx's workers are nobody, who may not write into a test's folder.
        text = text.replace("USER", "user root;" if os.geteuid() == 0 else "")
        config.write_text(text.replace("FOLDER", str(folder)))
        command = {
            "nginx": [program, "-c", str(config), "-e", str(folder / "error.log")],
            "caddy": [program, "run", "--config", str(config), "--adapter", "caddyfile"],
        }[kind]
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, "HOME": str(folder)},
            )
        for port in self.ports.values():
            self._wait(port)

    @classmethod
    def sample(cls, kind: str, folder: Path, upstream: int, text: str) -> Proxies:
        """Start a proxy whose one site, "sample", is that of a sample in config/, without its TLS."""
        program = shutil.which(kind, path=PATH)
        if program is None:
            pytest.skip(f"{kind} is not installed (apt-get install {PACKAGES[kind]})")
        made = cls.__new__(cls)
        made._output = folder / f"{kind}.log"
        made.ports = {"sample": free_port()}
        text = text.replace("127.0.0.1:8484", f"127.0.0.1:{upstream}")
        if kind == "nginx":
            before, _, rest = text.partition("server {\n    listen 80;")
            text = before + rest.partition("\n}\n")[2]
            lines = [line for line in text.splitlines() if "ssl_cert" not in line and "[::]" not in line]
            text = "\n".join(lines).replace("listen 443 ssl", f"listen 127.0.0.1:{made.ports['sample']}")
            text = text.replace("chat.example.org", "localhost")
        else:
            text = text.replace("chat.example.org", f"http://localhost:{made.ports['sample']}")
        frame = FRAMES[kind].replace("map $http_upgrade $connection_upgrade { default upgrade; '' ''; }", "")
        made._start(kind, program, folder, frame.replace("OPTIONS", ""), text)
        return made

    def _port(self) -> int:
        while (port := free_port()) in self.ports.values():
            time.sleep(0.001)
        return port

    def _wait(self, port: int) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except OSError:
                assert self._process.poll() is None, self._output.read_text()
                assert time.monotonic() < deadline, self._output.read_text()
                time.sleep(0.02)
            else:
                return

    def url(self, name: str) -> str:
        """Return the address of a site, by a name whose port a proxy may lose."""
        return f"http://localhost:{self.ports[name]}"

    def end(self) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE)
