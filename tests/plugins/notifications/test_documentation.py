"""docs/plugins/notifications.md: its calls are made, its settings loaded, its scripts run, its tables held to the code."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from quart import Quart

from relay.app.plugin_admin import load_for
from relay.engine.loader import load
from relay.http.endpoint import endpoint_of
from relay.settings import load as read_settings
from tests.docs.conversation import NONE
from tests.docs.test_docs import rows
from tests.plugins.notifications.conftest import Notifying
from tests.plugins.notifications.receivers import Reply
from tests.transports.rest.test_docs import HEADING, plain, read

PAGE = (Path(__file__).parents[3] / "docs" / "plugins" / "notifications.md").read_text(encoding="utf-8")
NODE = shutil.which("node")
ID = re.compile(r"\b[0-9a-f]{16}\b")


def fenced(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def told(value: Any) -> Any:
    """Reduce an answer to what is the same each time: of ids and keys only that they are there."""
    text = ID.sub("an id", json.dumps(plain(value)))
    return json.loads(re.sub(r'"public_key": "B[^"]+"', '"public_key": "a key"', text))


async def test_every_call_of_the_page_is_true_and_there_is_no_other(notifying: Notifying) -> None:
    parts = HEADING.split(PAGE)[1:]
    calls = [
        (parts[i], parts[i + 1], re.split(r"^## ", parts[i + 2], flags=re.MULTILINE)[0])
        for i in range(0, len(parts), 3)
    ]
    async with notifying() as town:
        await town.group("alice", "bob", group_id="ops")
        claimed = town.world.engine.registry.paths.items()
        own = {(method, path) for (method, path), owner in claimed if owner == "plugin 'notifications'"}
        assert {(method, re.sub(r"{\w+}", "<>", path)) for method, path, _ in calls} == own
        target_id = ""
        for _method, path, section in calls:
            example = read(section, "")
            if path.endswith("/test"):
                town.outside.ntfy.replies = [Reply(403)]
            body = {} if example.body is None else {"json_body": example.body}
            answer = await town.world.rest(example.method, ID.sub(target_id, example.path), "bob", **body)
            assert answer.status == example.status, (example, answer.body)
            assert told(answer.body or None) == told(example.answer), example
            if (example.method, path) == ("POST", "/api/push/targets"):
                target_id = answer.body["target_id"]


def views(plugin: Callable[[str], Any]) -> dict[tuple[str, str], Any]:
    """Return the plugin's views by method and path, as the page writes them."""
    app = Quart("page")
    app.register_blueprint(plugin("views").blueprint(plugin("options").Options()))
    return {
        (method, re.sub(r"<(\w+)>", r"{\1}", rule.rule)): app.view_functions[rule.endpoint]
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.rule.startswith("/api/")
    }


def test_every_example_is_what_its_view_says_of_itself(plugin: Callable[[str], Any]) -> None:
    parts = HEADING.split(PAGE)[1:]
    said = views(plugin)
    for i in range(0, len(parts), 3):
        view = said[parts[i], parts[i + 1]]
        example, told_of = read(re.split(r"^## ", parts[i + 2], flags=re.MULTILINE)[0], ""), endpoint_of(view)
        assert told_of is not None
        assert view.__doc__
        assert (told_of.body is None) is (example.body is None)
        if example.body is not None:
            msgspec.convert(example.body, told_of.body)
        if told_of.answers[example.status] is not None:
            answer = told_of.answers[example.status]
            assert msgspec.to_builtins(msgspec.convert(example.answer, answer)).keys() == example.answer.keys()


def test_the_settings_of_the_page_load(tmp_path: Path) -> None:
    file = tmp_path / "relay.toml"
    blocks = fenced("toml")
    assert len(blocks) == 3
    file.write_text("\n".join([blocks[0], blocks[2], blocks[1]]))
    settings = read_settings(file, {})
    registry = load_for(settings)
    assert registry.broken == []
    (loaded,) = [one for one in registry.loaded if one.name == "notifications"]
    assert [rule.actions for rule in loaded.options.rules] == [("nothing",), ("push",), ("store",)]
    assert loaded.options.email.from_ == "relay@example.org"


def test_it_is_off_unless_it_is_asked_for() -> None:
    assert "notifications" not in read_settings(None, {}).plugins.enabled


def test_the_password_may_come_from_a_variable_or_a_file(tmp_path: Path, plugin: Callable[[str], Any]) -> None:
    file = tmp_path / "relay.toml"
    table = '[plugins.notifications.email]\nhost = "mail"\nfrom = "a@b.example"\nusername = "u"\n'
    (tmp_path / "secret").write_text("s3cret\n")
    name = "RELAY_PLUGINS__NOTIFICATIONS__EMAIL__PASSWORD"
    for more, environ in (
        ("", {name: "s3cret"}),
        ("", {f"{name}_FILE": str(tmp_path / "secret")}),
        (f'password_file = "{tmp_path / "secret"}"\n', {}),
    ):
        file.write_text(table + more)
        registry = load(["notifications"], [], read_settings(file, environ).plugins.options)
        assert registry.broken == []
        assert registry.loaded[0].options.email.secret() == "s3cret"


def test_every_option_is_on_the_page_with_its_default(plugin: Callable[[str], Any]) -> None:
    options = plugin("options")
    listed = [(row[0].strip("`"), row[1]) for row in rows(PAGE, "Options") if len(row) == 3 and "[" not in row[0]]
    given = options.Email(host="x", from_="a@b.c")
    defaults = [
        *(
            (field.encode_name, getattr(options.Options(), field.name))
            for field in msgspec.structs.fields(options.Options)
        ),
        *(
            (field.encode_name, None if field.required else getattr(given, field.name))
            for field in msgspec.structs.fields(options.Email)
        ),
    ]
    assert sorted(listed) == sorted(
        (name, NONE if value is None else f"`{json.dumps(value)}`") for name, value in defaults
    )


def test_every_key_of_a_rule_is_on_the_page(plugin: Callable[[str], Any]) -> None:
    fields = {field.name for field in msgspec.structs.fields(plugin("options").Rule)}
    named = {name for row in rows(PAGE, "Rules") for name in re.findall(r"`(\w+)`", row[0])}
    assert named == fields
    for field in plugin("options").FIELDS:
        assert f"`{{{field}}}`" in PAGE


WORKER = """
const handlers = {}, shown = [], log = [];
const self = {
  addEventListener: (name, handler) => { handlers[name] = handler; },
  registration: {
    showNotification: async (title, options) => {
      shown.push({ title, ...options, close() { shown.splice(shown.indexOf(this), 1); } });
    },
    getNotifications: async ({ tag }) => shown.filter((one) => one.tag === tag),
  },
  clients: { matchAll: async () => [], openWindow: async (url) => log.push(url) },
};
async function fire(name, event) {
  const waits = [];
  handlers[name]({ ...event, waitUntil: (wait) => waits.push(wait) });
  await Promise.all(waits);
}
const push = (said) => fire("push", { data: { json: () => said } });
%s
(async () => {
  const said = { event: "notification", title: "alice", body: "Lunch?", renotify: true, timestamp: 7, url: "/#/user/alice" };
  await push({ ...said, tag: "a" });
  await push({ ...said, tag: "b" });
  await push({ event: "withdrawn", tag: "a" });
  const left = shown.map(({ title, body, tag, timestamp }) => ({ title, body, tag, timestamp }));
  await fire("notificationclick", { notification: shown[0] });
  console.log(JSON.stringify({ left, after: shown.length, log }));
})();
"""

SUBSCRIBE = """
const asked = [];
globalThis.fetch = async (url, options) => {
  asked.push([options.method ?? "GET", url, options.headers.Authorization, options.body && JSON.parse(options.body)]);
  return { ok: true, json: async () => (url === "/api/push/key" ? { public_key: "BKey" } : { target_id: "8f" }) };
};
Object.defineProperty(globalThis, "navigator", { value: { serviceWorker: { ready: Promise.resolve({ pushManager: {
  subscribe: async (options) => ({ toJSON: () => ({
    endpoint: "https://push.example/" + options.applicationServerKey, keys: { p256dh: "p", auth: "a" } }) }),
} }) } } });
%s
subscribe("rly_x", "laptop").then((targetId) => console.log(JSON.stringify({ asked, targetId })));
"""


def run_script(code: str) -> Any:
    assert NODE is not None
    done = subprocess.run([NODE, "-e", code], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.skipif(NODE is None, reason="node is not installed")
def test_the_service_worker_of_the_page_shows_and_closes() -> None:
    (code,) = fenced("js worker")
    assert run_script(WORKER % code) == {
        "left": [{"title": "alice", "body": "Lunch?", "tag": "b", "timestamp": 7000}],
        "after": 0,
        "log": ["/#/user/alice"],
    }


@pytest.mark.skipif(NODE is None, reason="node is not installed")
def test_the_script_of_the_page_makes_a_target(plugin: Callable[[str], Any]) -> None:
    (code,) = fenced("js subscribe")
    ran = run_script(SUBSCRIBE % code)
    assert ran["targetId"] == "8f"
    assert ran["asked"][0] == ["GET", "/api/push/key", "Bearer rly_x", None]
    method, url, token, body = ran["asked"][1]
    assert (method, url, token) == ("POST", "/api/push/targets", "Bearer rly_x")
    made = msgspec.convert(body, plugin("addresses").WebPush)
    assert (made.endpoint, made.client_id) == ("https://push.example/BKey", "laptop")


def test_every_field_of_a_push_is_on_the_page() -> None:
    table = PAGE.partition("| field of a push | meaning |\n")[2].partition("\n\n")[0]
    named = set(re.findall(r"`(\w+)`", "".join(line.split("|")[1] for line in table.splitlines()[1:])))
    assert named == {
        "event", "tag", "title", "body", "renotify", "count", "timestamp", "kind", "target_id", "message_id", "seq", "url",
    }  # fmt: skip
