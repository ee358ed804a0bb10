"""Lines that mend a proxy's fault, for nginx and Caddy, and which of the two is meant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

NGINX: Final = "nginx"
CADDY: Final = "Caddy"

_UPGRADE: Final = """\
map $http_upgrade $connection_upgrade { default upgrade; "" ""; }   # in http { }, beside server { }
proxy_http_version 1.1;                                             # these three in location / { }
proxy_set_header Upgrade    $http_upgrade;
proxy_set_header Connection $connection_upgrade;"""

UPGRADE: Final = {
    NGINX: _UPGRADE,
    CADDY: "reverse_proxy {upstream}   # alone: header_up lines about Upgrade or Connection go",
}
VERSION: Final = {
    NGINX: 'proxy_http_version 1.1;\nproxy_set_header Connection $connection_upgrade;   # or "", never close',
    CADDY: "reverse_proxy {upstream}   # speaks HTTP/1.1 by itself: a transport with `versions` goes",
}
HOST: Final = {
    NGINX: "proxy_set_header Host $http_host;   # $host lacks the port",
    CADDY: "reverse_proxy {upstream}   # passes Host on by itself: the line `header_up Host …` goes",
}
FORWARDED: Final = {
    NGINX: "proxy_set_header X-Forwarded-For   $remote_addr;\nproxy_set_header X-Forwarded-Proto $scheme;",
    CADDY: "reverse_proxy {upstream}   # sets it by itself: lines `header_up X-Forwarded-For …` go",
}
UPSTREAM: Final = {NGINX: "proxy_pass http://{upstream};", CADDY: "reverse_proxy {upstream}"}
HEAD: Final = {
    NGINX: "large_client_header_buffers 4 16k;   # in server { }",
    CADDY: "{\n\tservers {\n\t\tmax_header_size 64KB\n\t}\n}",
}
_CADDY_BODY: Final = """\
request_body {
	max_size {mebibytes}MiB   # or without this block: Caddy has no limit by itself
}"""
_CADDY_IDLE: Final = """\
reverse_proxy {upstream} {
	transport http {
		read_timeout {seconds}s   # or without this line: Caddy has no limit by itself
	}
}"""
BODY: Final = {NGINX: "client_max_body_size {mebibytes}m;   # in server { }", CADDY: _CADDY_BODY}
IDLE: Final = {NGINX: "proxy_read_timeout {seconds}s;\nproxy_send_timeout {seconds}s;", CADDY: _CADDY_IDLE}


def mend(recipe: Mapping[str, str], software: str, **values: object) -> dict[str, str]:
    """Return the lines for the proxy that names itself in `software`; for both where it is neither.

    Args:
        values: what the recipe's braces stand for.
    """
    named = [proxy for proxy in recipe if proxy.lower() in software.lower()]
    return {proxy: _filled(recipe[proxy], values) for proxy in named or recipe}


def _filled(text: str, values: Mapping[str, object]) -> str:
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", str(value))
    return text
