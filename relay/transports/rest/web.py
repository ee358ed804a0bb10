"""The files that browsers load: relay's page at `/`, `/admin` and `/app/…`, the SDK at `/sdk/…`, plugins' modules.

Rule 1: the files are a list that is made when relay and each plugin are loaded; no part of a request ever becomes
a path on the disk.

Rule 2: a page loads nothing from elsewhere and runs nothing inline: the policy below tells the browser so.

Rule 3: the page comes as a bundle of few files, which `make bundle` makes of the modules in `relay/web/app` and
`relay/web/sdk`. The modules are served as well. Where they are not those that the bundle was made of, as somebody
changed one, the page is made of them, and the bundle is not served.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Final

from quart import Blueprint, Response, current_app, request
from werkzeug.exceptions import NotFound

import relay
from relay.engine.engine import Engine
from relay.engine.page_files import PageFiles
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
SOURCES: Final = "sources.txt"
"""The file of the bundle that has the digest of what it was made of."""
LIST: Final = "files.json"
"""The list of all files of the page, for its service worker."""
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
_LASTING: Final = "max-age=31536000, immutable"
"""The cache rule of files whose names have a digest of what is in them."""
_log: Final = logging.getLogger(__name__)
_PAGE: Final = {
    "Content-Security-Policy": _POLICY,
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",  # the microphone for voice messages
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
        _add_page(made, page_files())
    if settings.sdk:
        _add_sdk(made, files("sdk"))
    return made


def _add_page(made: Blueprint, known: Mapping[str, File]) -> None:
    @made.get("/")
    @_file
    async def page() -> Response:
        """Answer with the page."""
        return _answer(known, INDEX, _PAGE)

    @made.get("/admin")
    @_file
    async def administration() -> Response:
        """Answer with the page, which shows the administration at this address."""
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
        found = {
            "plugins": list(_page_modules(engine.registry)),
            "admin": list(_admin_modules(engine.registry)),
            "unread": sorted(engine.registry.counted()),
        }
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
        if loaded.page is None or loaded.page.module is None:
            continue
        drawn = [name for name in loaded.types if registry.types[name].kind is Kind.STREAM]
        yield {"name": loaded.name, "types": drawn, "module": loaded.page.module, **_shown(loaded.page)}


def _admin_modules(registry: Registry) -> Iterator[dict[str, object]]:
    """Yield the modules that the administration loads."""
    for loaded in registry.loaded:
        if loaded.page is not None and loaded.page.admin is not None:
            yield {"name": loaded.name, "types": [], "module": loaded.page.admin, **_shown(loaded.page)}


def _shown(page: PageFiles) -> dict[str, object]:
    return {"styles": page.styles, "version": page.version, "options": page.options}


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
def sources() -> str:
    """Return the digest of the page's modules and of the SDK: of the names and contents of all files."""
    lines = [
        f"{folder}/{name} {file.digest}\n" for folder in ("app", "sdk") for name, file in files(folder).items()
    ]
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()[:32]


@cache
def bundle() -> Mapping[str, File]:
    """Return the files of the bundle by their names; none where it was made of other modules than these."""
    made_of = FOLDER / "bundle" / SOURCES
    if made_of.exists() and made_of.read_text(encoding="utf-8").strip() == sources():
        return files("bundle")
    _log.info("the page is served as single modules: they are not those of its bundle, which `make bundle` makes")
    return {}


@cache
def page_files() -> Mapping[str, File]:
    """Return the files at `/app/…` by their names: those of the bundle come before modules of the same name."""
    known = {**files("app"), **bundle()}
    if bundle():
        needed = [name for name in known if name in bundle() or not name.endswith((".js", ".css", ".html"))]
        paths = [f"app/{name}" for name in [*needed, "first.js"] if name != INDEX]
    else:
        paths = [f"app/{name}" for name in known if name not in (INDEX, WORKER)]
        paths += [f"sdk/{name}" for name in files("sdk")]
    return {**known, LIST: file_of("application/json", encode_json(sorted(paths)))}


@cache
def version() -> str:
    """Return the version of relay's own files: a digest of all of them."""
    made = hashlib.sha256(f"{sources()}\n".encode())
    for name, file in bundle().items():
        made.update(f"{name} {file.digest}\n".encode())
    return made.hexdigest()[:16]


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
    response.headers["Cache-Control"] = _LASTING if name.startswith("bundle-") else "no-cache"
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
