"""The files that browsers load: relay's page at `/` and `/app/…`, the SDK at `/sdk/…`.

Rule 1: what can be asked for is a list that is made at the start; nothing of a request ever becomes a path.

Rule 2: nothing is loaded from elsewhere, and nothing inline runs: the policy below says so to the browser.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from quart import Blueprint, Response, current_app, request
from werkzeug.exceptions import NotFound

import relay
from relay.http.requests import invalid
from relay.settings import WebSettings
from relay.transports.rest.conditions import precondition
from relay.transports.rest.problems import problem

FOLDER: Final = Path(relay.__file__).parent / "web"
INDEX: Final = "index.html"
WORKER: Final = "service-worker.js"
"""Served at the top: a service worker sees to nothing above the path that it comes from."""

_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}
_POLICY: Final = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",  # blob: what came with a token, which an <img> cannot send
        "media-src 'self' blob:",
        "connect-src 'self'",
        "manifest-src 'self'",
        "worker-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types relay",
    ]
)
_PAGE: Final = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_SDK: Final = {"Access-Control-Allow-Origin": "*", "Cross-Origin-Resource-Policy": "cross-origin"}


VERSION: Final = "Relay-Page"
"""The header that names the version of all files together: a page must not be made of two."""


class File(NamedTuple):
    """One file, read at the start."""

    content_type: str
    data: bytes
    packed: bytes
    digest: str


def blueprint(settings: WebSettings) -> Blueprint:
    """Return the routes of what is switched on."""
    made = Blueprint("web", __name__)
    if settings.page:
        _add_page(made, files("app"))
    if settings.sdk:
        _add_sdk(made, files("sdk"))
    return made


def _add_page(made: Blueprint, known: Mapping[str, File]) -> None:
    @made.get("/")
    async def page() -> Response:
        """Answer with the page."""
        return _answer(known, INDEX, _PAGE)

    @made.get(f"/{WORKER}")
    async def worker() -> Response:
        """Answer with what keeps the page at hand while the server is away."""
        return _answer(known, WORKER, _PAGE)

    @made.get("/app/<path:name>")
    async def app(name: str) -> Response:
        """Answer with a file of the page."""
        return _answer(known, name, _PAGE)


def _add_sdk(made: Blueprint, known: Mapping[str, File]) -> None:
    @made.get("/sdk/<path:name>")
    async def sdk(name: str) -> Response:
        """Answer with a file of the SDK; it is public code, so pages of any origin may import it."""
        return _answer(known, name, _SDK)


@cache
def files(folder: str) -> Mapping[str, File]:
    """Read the files of one folder: by their names in it, `/` between the parts."""
    return dict(_read(FOLDER / folder))


@cache
def version() -> str:
    """Return what names the files as they are: another one as soon as any of them is."""
    digest = hashlib.sha256()
    for folder in ("app", "sdk"):
        for name, file in files(folder).items():
            digest.update(f"{folder}/{name} {file.digest}\n".encode())
    return digest.hexdigest()[:16]


def _read(folder: Path) -> Iterator[tuple[str, File]]:
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.suffix not in _TYPES or "node_modules" in name.parts or not path.is_file():
            continue
        data = path.read_bytes()
        packed = gzip.compress(data, mtime=0)
        yield name.as_posix(), File(_TYPES[path.suffix], data, packed, hashlib.sha256(data).hexdigest()[:32])


def _answer(known: Mapping[str, File], name: str, headers: dict[str, str]) -> Response:
    """Return a file, packed for those who take that; 304 to those who have it."""
    file = known.get(name)
    if file is None:
        raise NotFound
    packs = request.accept_encodings.quality("gzip") > 0
    tag = file.digest + ("-gzip" if packs else "")
    response: Response = current_app.response_class(
        file.packed if packs else file.data, headers=headers, content_type=file.content_type
    )
    response.set_etag(tag)
    response.vary.add("Accept-Encoding")
    # Asked again each time, which costs an empty 304: an upgraded server never meets the page of an old one.
    response.headers["Cache-Control"] = "no-cache"
    response.headers[VERSION] = version()
    if packs:
        response.headers["Content-Encoding"] = "gzip"
    unmet = precondition(tag)
    if unmet == 304:
        length = response.headers["Content-Length"]
        response.status_code = unmet
        response.set_data(b"")
        response.headers["Content-Length"] = length  # what a 200 would say (RFC 9110 section 8.6)
        # What else a 200 would say of the file has no place here (section 15.4.5).
        response.headers.pop("Content-Encoding", None)
        response.headers.pop("Content-Type", None)
    elif unmet is not None:
        return problem(invalid("the file has another ETag than If-Match names"), unmet)
    return response
