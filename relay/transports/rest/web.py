"""The files that browsers load: relay's page at `/` and `/app/…`, the SDK at `/sdk/…`, plugins' page modules.

Rule 1: the files are a list that is made when relay and each plugin are loaded; no part of a request ever becomes
a path on the disk.

Rule 2: a page loads nothing from elsewhere and runs nothing inline: the policy below tells the browser so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Final

from quart import Blueprint, Response, current_app, request
from werkzeug.exceptions import NotFound

import relay
from relay.engine.engine import Engine
from relay.engine.registry import Registry
from relay.http.endpoint import endpoint
from relay.http.files import File, file_of, read_folder
from relay.http.requests import invalid
from relay.protocol.envelope import encode_json
from relay.protocol.kinds import Kind
from relay.settings import WebSettings
from relay.transports.rest.access import the_engine
from relay.transports.rest.conditions import precondition
from relay.transports.rest.problems import problem

FOLDER: Final = Path(relay.__file__).parent / "web"
INDEX: Final = "index.html"
WORKER: Final = "service-worker.js"
"""Served at `/`: a service worker controls no page above its own path."""

_POLICY: Final = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",  # blob: for what needs a token, which an <img> cannot send
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

_file = endpoint(query=None, answers={200: bytes, 304: None}, access="open")
"""The contract of all views here: they are not in `/openapi.json`."""

VERSION: Final = "Relay-Page"
"""The header with the version of all files together: a page must not be made of two versions."""


def blueprint(settings: WebSettings) -> Blueprint:
    """Return the routes of the page and the SDK, as far as they are switched on."""
    made = Blueprint("web", __name__)
    if settings.page:
        _add_page(made, files("app"))
    if settings.sdk:
        _add_sdk(made, files("sdk"))
    return made


def _add_page(made: Blueprint, known: Mapping[str, File]) -> None:
    @made.get("/")
    @_file
    async def page() -> Response:
        """Answer with the page."""
        return _answer(known, INDEX, _PAGE)

    @made.get(f"/{WORKER}")
    @_file
    async def worker() -> Response:
        """Answer with the service worker, which keeps the page available while the server is away."""
        return _answer(known, WORKER, _PAGE)

    @made.get("/app/<path:name>")
    @_file
    async def app(name: str) -> Response:
        """Answer with a file of the page."""
        return _answer(known, name, _PAGE)

    @made.get("/plugins/index.json")
    @_file
    async def plugins(engine: Engine) -> Response:
        """Answer with the list of page modules, a file as the others are: service workers keep it with them."""
        found = {"plugins": list(_page_modules(engine.registry)), "unread": sorted(engine.registry.counted())}
        listed = file_of("application/json", encode_json(found))
        return _answer({"index.json": listed}, "index.json", _PAGE)

    @made.get("/plugins/<plugin>/<path:name>")
    @_file
    async def plugin_file(engine: Engine, plugin: str, name: str) -> Response:
        """Answer with a file of a plugin's page module."""
        known = next((loaded.page for loaded in engine.registry.loaded if loaded.name == plugin), None)
        return _answer({} if known is None else known.files, name, _PAGE)


def _page_modules(registry: Registry) -> Iterator[dict[str, object]]:
    for loaded in registry.loaded:
        if (page := loaded.page) is None:
            continue
        shown = {"module": page.module, "styles": page.styles, "version": page.version, "options": page.options}
        drawn = [name for name in loaded.types if registry.types[name].kind is Kind.STREAM]
        yield {"name": loaded.name, "types": drawn, **shown}


def _add_sdk(made: Blueprint, known: Mapping[str, File]) -> None:
    @made.get("/sdk/<path:name>")
    @_file
    async def sdk(name: str) -> Response:
        """Answer with a file of the SDK; it is public code, so pages of any origin may import it."""
        return _answer(known, name, _SDK)


@cache
def files(folder: str) -> Mapping[str, File]:
    """Return the files of one folder by their paths in it."""
    return dict(read_folder(FOLDER / folder))


@cache
def version() -> str:
    """Return the version of relay's own files: a digest of all of them."""
    digest = hashlib.sha256()
    for folder in ("app", "sdk"):
        for name, file in files(folder).items():
            digest.update(f"{folder}/{name} {file.digest}\n".encode())
    return digest.hexdigest()[:16]


def _version_of(registry: Registry) -> str:
    return _version_with(tuple((one.name, one.page.version) for one in registry.loaded if one.page is not None))


@lru_cache(8)
def _version_with(pages: tuple[tuple[str, str], ...]) -> str:
    """Return the version of relay's own files and of these plugins' together."""
    if not pages:
        return version()
    return hashlib.sha256(encode_json([version(), pages])).hexdigest()[:16]


def _answer(known: Mapping[str, File], name: str, headers: dict[str, str]) -> Response:
    """Return a file, compressed for clients that accept it; 304 for clients that have it."""
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
    # Revalidated each time, for an empty 304: an upgraded server never meets the page of an old one.
    response.headers["Cache-Control"] = "no-cache"
    response.headers[VERSION] = _version_of(the_engine().registry)
    if packs:
        response.headers["Content-Encoding"] = "gzip"
    unmet = precondition(tag)
    if unmet == 304:
        length = response.headers["Content-Length"]
        response.status_code = unmet
        response.set_data(b"")
        response.headers["Content-Length"] = length  # that of a 200 (RFC 9110 section 8.6)
        # The other headers of the file do not belong into a 304 (section 15.4.5).
        response.headers.pop("Content-Encoding", None)
        response.headers.pop("Content-Type", None)
    elif unmet is not None:
        return problem(invalid("the file has another ETag than If-Match names"), unmet)
    return response
