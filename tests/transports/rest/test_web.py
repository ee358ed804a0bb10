"""The page and the SDK as browsers load them: what is there, how it is kept, and what the browser is told to refuse."""

import dataclasses
import gzip
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from quart import Blueprint

from relay.http.paths import check_claims, claims
from relay.settings import Settings, WebSettings
from relay.transports.rest import web
from relay.transports.rest.app import own_paths
from tests.transports.rest.world import World, open_world


async def fetch(world: World, path: str, method: str = "GET", **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await world.client.open(path, method=method, headers=named)


def shown() -> list[str]:
    """Return the path of every module and picture that is served as it is."""
    return [
        f"/{folder}/{name}" for folder in ("app", "sdk") for name in web.files(folder) if name not in web.bundle()
    ]


@pytest.fixture
async def bundled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """Yield a server with a bundle, also where it is older than the modules: another test compares them."""
    made = web.files("bundle")
    for name in ("bundle", "page_files"):
        monkeypatch.setattr(web, name, getattr(web, name).__wrapped__)
    monkeypatch.setattr(web, "bundle", lambda: made)
    async with open_world(tmp_path) as world:
        yield world


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/app/main.js", "text/javascript; charset=utf-8"),
        ("/app/main.css", "text/css; charset=utf-8"),
        ("/app/icon.svg", "image/svg+xml"),
        ("/app/relay.webmanifest", "application/manifest+json"),
        ("/service-worker.js", "text/javascript; charset=utf-8"),
        ("/sdk/index.js", "text/javascript; charset=utf-8"),
    ],
)
async def test_each_file_has_the_type_that_browsers_insist_on(world: World, path: str, content_type: str):
    answer = await fetch(world, path)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, content_type)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    head = await fetch(world, path, "HEAD")
    assert head.status_code == 200
    assert head.headers["Content-Length"] == answer.headers["Content-Length"]


async def test_every_file_of_the_two_folders_is_served_as_it_is(world: World):
    assert len(shown()) > 20
    for path in shown():
        answer = await fetch(world, path)
        assert await answer.get_data() == (web.FOLDER / path[1:]).read_bytes()


@pytest.mark.parametrize(
    "path",
    ["/app/../../settings/model.py", "/app/%2e%2e/%2e%2e/__init__.py", "/sdk/..%2f..%2f__init__.py", "/sdk/",
     "/app//etc/passwd", "/sdk//etc/passwd", "/sdk/package.json", "/sdk/tsconfig.json", "/app/index.html/",
     "/app/Main.js", "/sdk/index.js%00", "/index.html", "/sdk"],
)  # fmt: skip
async def test_what_is_not_on_the_list_is_not_there(world: World, path: str):
    answer = await fetch(world, path)
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"


async def test_every_file_names_the_version_of_all_of_them_and_a_304_does_too(world: World):
    first = await fetch(world, "/")
    version = first.headers["Relay-Page"]
    assert re.fullmatch(r"[0-9a-f]{16}", version)
    assert {(await fetch(world, path)).headers["Relay-Page"] for path in shown()} == {version}
    again = await fetch(world, "/", If_None_Match=first.headers["ETag"])
    assert (again.status_code, again.headers["Relay-Page"]) == (304, version)


def test_another_file_makes_another_version(monkeypatch: pytest.MonkeyPatch):
    known = web.version()
    others = {"app": {**web.files("app")}, "sdk": {**web.files("sdk")}}
    others["sdk"]["index.js"] = dataclasses.replace(others["sdk"]["index.js"], digest="other")
    monkeypatch.setattr(web, "files", others.__getitem__)
    monkeypatch.setattr(web, "sources", web.sources.__wrapped__)
    monkeypatch.setattr(web, "bundle", dict)
    assert web.version.__wrapped__() != known


async def test_a_file_that_is_known_already_is_not_sent_again(world: World):
    first = await fetch(world, "/app/main.js")
    tag = first.headers["ETag"]
    assert first.headers["Cache-Control"] == "no-cache"
    for known in (tag, f'"other", {tag}', f"W/{tag}", "*"):
        again = await fetch(world, "/app/main.js", If_None_Match=known)
        assert (again.status_code, await again.get_data()) == (304, b"")
        assert again.headers["ETag"] == tag
        assert again.headers["Content-Security-Policy"] == first.headers["Content-Security-Policy"]
    changed = await fetch(world, "/app/main.js", If_None_Match='"other"')
    assert changed.status_code == 200


async def test_files_come_packed_for_those_who_take_that_under_a_tag_of_their_own(world: World):
    plain = await fetch(world, "/sdk/index.js")
    packed = await fetch(world, "/sdk/index.js", Accept_Encoding="br, gzip;q=0.8")
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(await packed.get_data()) == await plain.get_data()
    assert packed.headers["ETag"] != plain.headers["ETag"]
    assert "Accept-Encoding" in packed.headers["Vary"]
    assert "Accept-Encoding" in plain.headers["Vary"]
    refused = await fetch(world, "/sdk/index.js", Accept_Encoding="gzip;q=0, identity")
    assert "Content-Encoding" not in refused.headers


async def test_the_page_lets_nothing_run_that_is_not_a_file_of_the_server(world: World):
    policy = (await fetch(world, "/")).headers["Content-Security-Policy"]
    said = dict(part.split(" ", 1) for part in policy.split("; "))
    assert said["default-src"] == said["frame-ancestors"] == said["base-uri"] == "'none'"
    assert said["script-src"] == said["style-src"] == said["connect-src"] == "'self'"
    assert "unsafe" not in policy
    assert "http" not in policy
    page = (web.FOLDER / "app" / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=", page)
    for path in (web.FOLDER / "app").rglob("*.js"):
        source = path.read_text(encoding="utf-8")
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", source), path


async def test_the_page_is_a_bundle_of_few_files_and_its_modules_are_served_too(bundled: World):
    page = (await (await fetch(bundled, "/")).get_data()).decode()
    named = re.findall(r'(?:href|src)="(app/[^"]+)"', page)
    assert 4 < len(named) <= 14
    assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=", page)
    for name in named:
        answer = await fetch(bundled, f"/{name}")
        lasts = name.startswith("app/bundle-")
        assert answer.status_code == 200
        assert answer.headers["Cache-Control"] == ("max-age=31536000, immutable" if lasts else "no-cache")
    assert b'export * from "./bundle-dom-' in await (await fetch(bundled, "/app/dom.js")).get_data()
    assert (await fetch(bundled, "/app/messenger.js")).status_code == 200
    assert (await fetch(bundled, "/sdk/index.js")).status_code == 200
    listed = await (await fetch(bundled, "/app/files.json")).get_json()
    assert set(named) - {"app/first.js"} <= set(listed)
    for path in listed:
        assert (await fetch(bundled, f"/{path}")).status_code == 200


async def test_a_changed_module_is_served_without_the_bundle(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(web, "sources", lambda: "other")
    assert web.bundle.__wrapped__() == {}
    monkeypatch.setattr(web, "bundle", dict)
    known = web.page_files.__wrapped__()
    assert known["index.html"] == web.files("app")["index.html"]
    listed = msgspec.json.decode(known["files.json"].data, type=list[str])
    assert {"app/main.js", "app/main.css", "sdk/index.js"} <= set(listed)
    assert not {"app/index.html", "app/service-worker.js"} & set(listed)


async def test_pages_of_any_origin_may_import_the_sdk_and_of_none_the_page(world: World):
    sdk = await fetch(world, "/sdk/index.js", Origin="https://elsewhere.example")
    assert sdk.headers["Access-Control-Allow-Origin"] == "*"
    assert sdk.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    page = await fetch(world, "/", Origin="https://elsewhere.example")
    assert "Access-Control-Allow-Origin" not in page.headers
    assert page.headers["Cross-Origin-Resource-Policy"] == "same-origin"


async def test_an_allowed_origin_varies_the_answer_beside_its_packing(tmp_path: Path):
    async with open_world(tmp_path, server={"allowed_origins": ["https://chat.example"]}) as world:
        answer = await fetch(world, "/sdk/index.js", Origin="https://chat.example")
        assert {part.strip() for part in answer.headers["Vary"].split(",")} == {"Accept-Encoding", "Origin"}


@pytest.mark.parametrize(
    ("switched", "there", "gone"),
    [
        ({"page": False}, ["/sdk/index.js"], ["/", "/app/main.js", "/service-worker.js"]),
        ({"sdk": False}, ["/", "/app/main.js"], ["/sdk/index.js"]),
    ],
)
async def test_both_can_be_switched_off(tmp_path: Path, switched: Any, there: list[str], gone: list[str]):
    async with open_world(tmp_path, web=switched) as world:
        assert [(await fetch(world, path)).status_code for path in there] == [200] * len(there)
        assert [(await fetch(world, path)).status_code for path in gone] == [404] * len(gone)


@pytest.mark.parametrize("path", ["/", "/app/mine.js", "/app/<name>", "/sdk/<path:more>", "/sdk/store/mine.js"])
def test_a_plugin_gets_no_path_of_the_page_or_the_sdk_unless_they_are_off(path: str):
    mine = Blueprint("mine", __name__)

    async def view(**_: str) -> str:
        return "mine"

    mine.get(path)(view)
    wanted = claims([mine], "plugin 'mine'")
    with pytest.raises(ValueError, match="is taken by relay"):
        check_claims(own_paths(Settings()), wanted)
    check_claims(own_paths(Settings(web=WebSettings(page=False, sdk=False))), wanted)


async def test_conditions_are_read_as_the_rfc_says(world: World):
    first = await fetch(world, "/app/main.js", Accept_Encoding="gzip")
    tag = first.headers["ETag"]
    again = await fetch(world, "/app/main.js", Accept_Encoding="gzip", If_None_Match=f'"a,b", W/{tag}')
    assert again.status_code == 304
    for name in ("ETag", "Cache-Control", "Vary", "Content-Security-Policy"):
        assert again.headers[name] == first.headers[name]
    assert "Content-Encoding" not in again.headers
    assert (await fetch(world, "/app/main.js", Accept_Encoding="gzip", If_Match=tag)).status_code == 200
    for wanted in ('"other"', f"W/{tag}"):
        refused = await fetch(world, "/app/main.js", Accept_Encoding="gzip", If_Match=wanted)
        assert refused.status_code == 412
        assert refused.headers["Content-Type"] == "application/problem+json"
    dated = await fetch(world, "/app/main.js", If_Modified_Since="Wed, 21 Oct 2099 07:28:00 GMT")
    assert dated.status_code == 200
    part = await fetch(world, "/app/main.js", Range="bytes=0-9")
    assert part.status_code == 200
