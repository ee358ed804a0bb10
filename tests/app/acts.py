"""The table of acts: how each is done by REST, by the command line and on the page, and what it leaves.

A scenario is about one user and one group, its subjects. So many can be played on one server.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import msgspec
import trio

from relay.app.admin import perform
from relay.engine.sample import SampleData
from relay.protocol.kinds import ServerRole
from relay.services.acts import Act
from relay.services.audit import Actor
from relay.storage import accounts, audit, invites, listings, reports, restrictions
from relay.storage.audit import Wanted
from relay.storage.restrictions import SERVER, Restriction, RestrictionKind
from relay.testing import World
from relay.testing import world as open_world
from tests.cluster.office import FixedOffice


class Subjects(NamedTuple):
    """The user and the group that a scenario is about."""

    user: str = "bob"
    group: str = "team"


Way = Callable[[World, Subjects], Awaitable[Any]]
UID: Final = 4321
TIME: Final = re.compile(r"\b1[67]\d{8}(\.\d+)?\b")
"""A moment of the tests, in a message of the server's own."""
FILE: Final = re.compile(r'"a_[^"]+"')
"""The id of an attachment, in a message."""
INVITE: Final = "a code that nobody guesses"


class Step(NamedTuple):
    """One thing that is done on the page.

    `press` presses the button `label`, in the table's row that says `value` where that is given; `fill` gives a
    field its value; `confirm` presses what the dialog asks for; `file` chooses a file with the text `value`.
    """

    kind: Literal["press", "fill", "confirm", "file"]
    label: str = ""
    value: str | bool = ""


class OnPage(NamedTuple):
    """How an act is done on the page: at which place in the administration, and by which steps."""

    place: str
    steps: tuple[Step, ...]


class Scenario(NamedTuple):
    """An act: its calls by REST and by the command line, what is there before it, and how the page does it.

    `rest` is None for what nobody does to others over the network; `page` for what is done in a group's own dialog,
    and not in the administration, or needs a server of its own. A backup is downloaded by REST alone, as the operator
    has the file; one is put back by the command line alone, as no server runs then.
    """

    rest: Way | None
    operation: Way | None
    page: OnPage | None
    prepare: Way | None = None


def press(label: str, row: str = "") -> Step:
    return Step("press", label, row)


def fill(label: str, value: str | bool) -> Step:
    return Step("fill", label, value)


CONFIRM: Final = Step("confirm")


def at(place: str, *steps: Step) -> OnPage:
    return OnPage(place, steps)


def because(reason: str) -> Step:
    return fill("Reason (it is kept in the audit log)", reason)


async def filled(value: Any, world: World, on: Subjects) -> Any:
    """Return what a scenario says, about these subjects."""
    if isinstance(value, dict):
        return {name: await filled(one, world, on) for name, one in value.items()}
    if isinstance(value, list):
        return [await filled(one, world, on) for one in value]
    if not isinstance(value, str):
        return value
    if "{message}" in value:
        value = value.replace("{message}", str(await last_message(world, on)))
    if "{report}" in value:
        value = value.replace("{report}", str(await report_id(world, on)))
    invite = invites.invite_id(code_for(on))
    return value.replace("{user}", on.user).replace("{group}", on.group).replace("{invite}", invite)


def code_for(on: Subjects) -> str:
    return f"{INVITE} {on.user}"


def rest(method: str, path: str, **body: Any) -> Way:
    async def call(world: World, on: Subjects) -> Any:
        given = {"json_body": await filled(body, world, on)} if body else {}
        answer = await world.rest(method, await filled(path, world, on), "root", **given)
        assert answer.status < 300, answer.body
        return answer.body

    return call


def cli(op: str, **arguments: Any) -> Way:
    async def call(world: World, on: Subjects) -> Any:
        given = await filled(arguments, world, on)
        for name in ("message_id", "report_id"):
            if name in given:
                given[name] = int(given[name])
        return await perform(world.engine, op, given, Actor.operator(UID))

    return call


async def disable(world: World, on: Subjects) -> None:
    await world.engine.runner.write(partial(accounts.update_user, user_id=on.user, disabled=1))
    world.engine.accounts.forget()


async def make_team(world: World, on: Subjects) -> None:
    await world.engine.groups.create("alice", "Team", [on.user], on.group)


async def make_invite(world: World, on: Subjects) -> None:
    def insert(connection: sqlite3.Connection) -> None:
        connection.execute(
            "INSERT INTO invites (code_hash, created_at, uses_left) VALUES (?, 0, 1)",
            (accounts.hash_secret(code_for(on)),),
        )

    await world.engine.runner.write(insert)


async def name_token(world: World, on: Subjects) -> None:
    sql = "UPDATE tokens SET token_id = 'tok_' || user_id WHERE user_id = ?"
    await world.engine.runner.write(lambda c: c.execute(sql, (on.user,)).rowcount)
    world.engine.accounts.forget()


async def connect_phone(world: World, on: Subjects) -> None:
    await world.connect(on.user, "phone")


async def set_aside(world: World, _on: Subjects) -> None:
    guard = world.engine.registry.guard("pin")
    assert guard is not None
    guard.set_aside("a test")


async def give_second_factor(world: World, on: Subjects) -> None:
    sql = "INSERT INTO second_factors VALUES (?, x'00', 1, 1, 0)"
    await world.engine.runner.write(lambda c: c.execute(sql, (on.user,)).rowcount)


async def make_own_team(world: World, on: Subjects) -> None:
    await world.engine.groups.create("root", "Team", [on.user], on.group)


async def leave_root_alone(world: World, _on: Subjects) -> None:
    for name in ("alice", "bob"):
        await world.engine.runner.write(partial(accounts.update_user, user_id=name, disabled=1))
    world.engine.accounts.forget()


async def add_sample(world: World, on: Subjects) -> None:
    """Add the sample data, and have its entry in the audit log go."""
    await leave_root_alone(world, on)
    await SampleData(world.engine).add(Actor.operator(UID), "en")

    def forget(connection: sqlite3.Connection) -> None:
        found = connection.execute("SELECT message_id FROM audit_entries").fetchall()
        audit.forget(connection, [row[0] for row in found])

    await world.engine.runner.write(forget)


def held(kind: RestrictionKind, *, in_team: bool = False) -> Way:
    """Return what puts the user under a restriction, without an act."""

    async def hold(world: World, on: Subjects) -> None:
        if in_team:
            await make_own_team(world, on)
        team = await world.engine.channels.group(on.group)
        place = team.channel_id if team is not None and in_team else SERVER
        made = Restriction(place, on.user, kind, "spam", None, 0.0, world.engine.now() + DAY)
        await world.engine.runner.write(lambda connection: restrictions.put(connection, made))
        world.engine.restrictions.hold(made)

    return hold


async def report(world: World, on: Subjects) -> None:
    said = await world.engine.submitter.send_as(on.user, "chat_message", {"content": "nasty"}, "alice")
    assert said.message_id is not None
    await world.engine.reports.file("alice", said.message_id, "abuse")


async def close_report(world: World, on: Subjects) -> None:
    await report(world, on)
    number = await report_id(world, on)
    await world.engine.runner.write(lambda c: reports.close(c, number, "resolved", None, "", 0.0))


async def report_id(world: World, on: Subjects) -> int:
    found = await world.engine.reports.page(None, None, 1000)
    return next(one.report_id for one, _reporters in found if one.author == on.user)


async def say_to_alice(world: World, on: Subjects) -> None:
    await world.engine.submitter.send_as(on.user, "chat_message", {"content": "hello"}, "alice")


async def last_message(world: World, on: Subjects) -> int:
    sql = "SELECT max(message_id) FROM log WHERE type = 'chat_message' AND sender_id = ?"
    found = await world.engine.runner.read(lambda c: c.execute(sql, (on.user,)).fetchone())
    return int(found[0])


async def import_by_rest(world: World, on: Subjects) -> Any:
    headers = {"Content-Type": "application/x-ndjson"}
    data = f"{await filled(MESSAGE, world, on)}\n".encode()
    answer = await world.rest("POST", "/api/admin/import", "root", data=data, headers=headers)
    assert answer.status == 200, answer.body
    assert (answer.body["stored"], answer.body["problems"]) == (1, [])
    return answer.body


DAY: Final = 86_400.0
WHY: Final = {"reason": "spam", "seconds": DAY}
HERE: Final = "/api/groups/{group}/restrictions"
BACKUPS: Final = "/api/admin/backups"
KEPT: Final = "relay-20240101-033000.db"


def backed_up(ask: Way) -> Way:
    """Return what asks for a backup, and waits until it is made."""

    async def way(world: World, on: Subjects) -> None:
        before = await entries(world)
        await ask(world, on)
        while await entries(world) == before:
            assert world.engine.backups.failing is None
            await trio.sleep(0.1)

    return way


async def keep_backup(world: World, _on: Subjects) -> None:
    """Put a file into the folder of backups."""
    folder = world.engine.backups.folder.path
    folder.mkdir()
    (folder / KEPT).write_bytes(b"everything")


async def note_restored(world: World, _on: Subjects) -> None:
    """Note what `relay restore` leaves in a database, as its first start does."""
    note = msgspec.json.encode({"from": "b.db", "at": 1.0, "uid": UID}).decode()
    await world.engine.runner.write(
        lambda c: c.execute("INSERT INTO facts VALUES ('restored', ?)", (note,)).rowcount
    )
    await world.engine.backups.recover()


async def change_settings(world: World, _on: Subjects) -> None:
    """Write another limit into the settings file."""
    file = world.engine.settings.plugins.file
    assert file is not None
    Path(file).write_text("[limits]\nmessages_per_second = 3\n")


async def be_in_a_cluster(world: World, _on: Subjects) -> None:
    world.engine.cluster = FixedOffice(world.engine.runner)


EVERYWHERE: Final = "/api/admin/restrictions"
MESSAGE: Final = (
    '{"type": "chat_message", "payload": {"content": "old"},'
    ' "meta": {"id": "old-{user}", "sender_id": "alice", "target_id": "{user}", "timestamp": 1600000000}}'
)
USERS: Final = "/api/admin/users"
USER: Final = f"{USERS}/{{user}}"
TEAM: Final = "/api/admin/groups/{group}"
REPORT: Final = "/api/admin/reports/{report}"
PIN: Final = "/api/admin/plugins/pin"
NEW: Final = {"user_id": "{user}-new", "role": "moderator", "display_name": "Carol", "password": "a good password"}
MANY: Final = {"user_ids": ["{user}", "{user}-a", "{user}-b"], "tokens": True}
NOTICE: Final = {"target_id": "{user}", "payload": {"title": "Maintenance", "level": "info"}}
GROUP: Final = {"group_id": "{group}", "name": "Team", "owner": "alice", "members": ["{user}"]}
OF_USER: Final = "users/{user}"
SCENARIOS: Final[dict[Act, Scenario]] = {
    Act.USER_ADDED: Scenario(
        rest("POST", USERS, **NEW),
        cli("user.add", **NEW),
        at(
            "users",
            press("Add a user"),
            fill("User id, to sign in with", "{user}-new"),
            fill("Name that others see", "Carol"),
            fill("First password", "a good password"),
            fill("Role", "moderator"),
            CONFIRM,
        ),
    ),
    Act.USER_IMPORTED: Scenario(
        rest("POST", f"{USERS}/import", **MANY),
        cli("user.import", **MANY),
        at(
            "users",
            press("Add many users"),
            fill("User ids, one a line", "{user}\n{user}-a\n{user}-b # a comment"),
            fill("Make a token for each of them", True),
            CONFIRM,
        ),
    ),
    Act.USER_RENAMED: Scenario(
        rest("PATCH", USER, display_name="Robert"),
        cli("user.rename", user_id="{user}", display_name="Robert"),
        at(OF_USER, press("Rename"), fill("Name that others see", "Robert"), CONFIRM),
    ),
    Act.USER_ROLE: Scenario(
        rest("PATCH", USER, role="guest", reason="a contractor"),
        cli("user.role", user_id="{user}", role="guest", reason="a contractor"),
        at(OF_USER, fill("Role", "guest"), press("Change"), because("a contractor"), CONFIRM),
    ),
    Act.USER_DISABLED: Scenario(
        rest("PATCH", USER, disabled=True, reason="spam"),
        cli("user.disable", user_id="{user}", reason="spam"),
        at(OF_USER, press("Disable"), because("spam"), CONFIRM),
    ),
    Act.USER_ENABLED: Scenario(
        rest("PATCH", USER, disabled=False),
        cli("user.enable", user_id="{user}"),
        at(OF_USER, press("Enable")),
        disable,
    ),
    Act.USER_ERASED: Scenario(
        rest("POST", f"{USER}/erase"),
        cli("user.erase", user_id="{user}"),
        at(OF_USER, press("Erase"), fill("To go on, type {user}", "{user}"), CONFIRM),
    ),
    Act.USER_DELETED: Scenario(rest("DELETE", USER), cli("user.delete", user_id="{user}"), None),
    Act.SERVER_EXPORTED: Scenario(None, cli("export.begin", credentials=True), None),
    Act.USER_EXPORTED: Scenario(None, cli("user.export", user_id="{user}"), None),
    Act.SAMPLE_ADDED: Scenario(
        rest("POST", "/api/admin/sample", language="fr"), cli("sample.add", language="fr"), None, leave_root_alone
    ),
    Act.SAMPLE_REMOVED: Scenario(rest("DELETE", "/api/admin/sample"), cli("sample.remove"), None, add_sample),
    Act.USER_PASSWORD: Scenario(
        rest("PUT", f"{USER}/password", password="a good password"),
        cli("user.passwd", user_id="{user}", password="a good password"),
        at(OF_USER, press("Set a password"), fill("New password", "a good password"), CONFIRM),
    ),
    Act.INVITE_CREATED: Scenario(
        rest("POST", "/api/admin/invites", uses=5, days=0, role="guest"),
        cli("user.invite", uses=5, days=0, role="guest"),
        at(
            "invitations",
            press("Invite people"),
            fill("For how many people", "5"),
            fill("Good for", "0"),
            fill("They become", "guest"),
            CONFIRM,
        ),
    ),
    Act.INVITE_REVOKED: Scenario(
        rest("DELETE", "/api/admin/invites/{invite}"),
        cli("invite.revoke", invite="{invite}"),
        at("invitations", press("Take back", "{invite}"), CONFIRM),
        make_invite,
    ),
    Act.USER_RESET_LINK: Scenario(
        rest("POST", f"{USER}/reset-link"),
        cli("user.reset_link", user_id="{user}"),
        at(OF_USER, press("Make a reset link")),
    ),
    Act.USER_SECOND_FACTOR: Scenario(
        rest("DELETE", f"{USER}/second-factor"),
        cli("user.reset_second_factor", user_id="{user}"),
        at(OF_USER, press("Turn off two-factor codes"), CONFIRM),
        give_second_factor,
    ),
    Act.TOKEN_CREATED: Scenario(
        rest("POST", f"{USER}/tokens", label="ci", scopes=["notify"]),
        cli("token.create", user_id="{user}", label="ci", scopes=["notify"]),
        at(
            OF_USER,
            press("Make a token"),
            fill("Label", "ci"),
            fill("Scopes, with spaces between; none for what the user may", "notify"),
            fill("Days that it is good for; 0 for ever", "0"),
            CONFIRM,
        ),
    ),
    Act.TOKEN_REVOKED: Scenario(
        rest("DELETE", f"{USER}/tokens/tok_{{user}}"),
        cli("token.revoke", token_id="tok_{user}"),
        at("tokens?q=tok_{user}", press("Revoke", "tok_{user}"), CONFIRM),
        name_token,
    ),
    Act.DEVICE_REVOKED: Scenario(
        rest("DELETE", f"{USER}/devices?client_id=phone"),
        cli("user.revoke_device", user_id="{user}", client_id="phone"),
        at("connections?view=devices&q={user}", press("Sign out", "{user}"), CONFIRM),
        connect_phone,
    ),
    Act.CONNECTION_ENDED: Scenario(
        rest("DELETE", "/api/admin/connections?user={user}&client_id=phone"),
        cli("connection.end", user_id="{user}", client_id="phone"),
        at("connections?user={user}", press("End the connection", "{user}"), CONFIRM),
        connect_phone,
    ),
    Act.USER_TIMED_OUT: Scenario(
        rest("PUT", f"{EVERYWHERE}/timeout/{{user}}", **WHY),
        cli("moderation.restrict", user_id="{user}", kind="timeout", **WHY),
        at(OF_USER, press("Timeout"), fill("For", "86400"), because("spam"), CONFIRM),
    ),
    Act.USER_TIMEOUT_LIFTED: Scenario(
        rest("DELETE", f"{EVERYWHERE}/timeout/{{user}}"),
        cli("moderation.lift", user_id="{user}", kind="timeout"),
        at("reports", press("Lift", "{user}")),
        held("timeout"),
    ),
    Act.USER_BANNED: Scenario(
        rest("PUT", f"{EVERYWHERE}/ban/{{user}}", **WHY),
        cli("moderation.restrict", user_id="{user}", kind="ban", **WHY),
        at(OF_USER, press("Ban"), fill("For", "86400"), because("spam"), CONFIRM),
    ),
    Act.USER_BAN_LIFTED: Scenario(
        rest("DELETE", f"{EVERYWHERE}/ban/{{user}}"),
        cli("moderation.lift", user_id="{user}", kind="ban"),
        at("reports", press("Lift", "{user}")),
        held("ban"),
    ),
    Act.GROUP_MEMBER_TIMED_OUT: Scenario(
        rest("PUT", f"{HERE}/timeout/{{user}}", **WHY),
        cli("moderation.restrict", user_id="{user}", kind="timeout", group_id="{group}", **WHY),
        None,
        make_own_team,
    ),
    Act.GROUP_TIMEOUT_LIFTED: Scenario(
        rest("DELETE", f"{HERE}/timeout/{{user}}"),
        cli("moderation.lift", user_id="{user}", kind="timeout", group_id="{group}"),
        None,
        held("timeout", in_team=True),
    ),
    Act.GROUP_MEMBER_BANNED: Scenario(
        rest("PUT", f"{HERE}/ban/{{user}}", **WHY),
        cli("moderation.restrict", user_id="{user}", kind="ban", group_id="{group}", **WHY),
        None,
        make_own_team,
    ),
    Act.GROUP_BAN_LIFTED: Scenario(
        rest("DELETE", f"{HERE}/ban/{{user}}"),
        cli("moderation.lift", user_id="{user}", kind="ban", group_id="{group}"),
        None,
        held("ban", in_team=True),
    ),
    Act.MESSAGE_REMOVED: Scenario(
        rest("POST", f"{REPORT}/remove", reason="no"),
        cli("report.remove", report_id="{report}", reason="no"),
        at("reports", press("Remove it", "{user}"), because("no"), CONFIRM),
        report,
    ),
    Act.MESSAGE_TRACED: Scenario(
        rest("GET", "/api/admin/trace/{message}"),
        cli("trace", message_id="{message}"),
        at("trace/{message}"),
        say_to_alice,
    ),
    Act.REPORT_RESOLVED: Scenario(
        rest("POST", REPORT, state="resolved", note="done"),
        cli("report.close", report_id="{report}", state="resolved", note="done"),
        at("reports", press("Resolve", "{user}"), because("done"), CONFIRM),
        report,
    ),
    Act.REPORT_DISMISSED: Scenario(
        rest("POST", REPORT, state="dismissed"),
        cli("report.close", report_id="{report}", state="dismissed"),
        at("reports", press("Dismiss", "{user}"), CONFIRM),
        report,
    ),
    Act.REPORT_REOPENED: Scenario(
        rest("POST", REPORT, state="open"),
        cli("report.close", report_id="{report}", state="open"),
        at("reports", press("Open again", "{user}")),
        close_report,
    ),
    Act.GROUP_CREATED: Scenario(
        rest("POST", "/api/admin/groups", **GROUP),
        cli("group.create", **GROUP),
        at(
            "groups",
            press("Make a group"),
            fill("Name", "Team"),
            fill("Owner", "alice"),
            fill("Other members, with spaces between", "{user}"),
            fill("Id of the group; without one the server chooses it", "{group}"),
            CONFIRM,
        ),
    ),
    Act.GROUP_MEMBER_ADDED: Scenario(
        rest("PUT", f"{TEAM}/members/root"),
        cli("group.add", group_id="{group}", user_id="root"),
        at("groups/{group}", press("Add a member"), fill("User id", "root"), CONFIRM),
        make_team,
    ),
    Act.GROUP_ROLE: Scenario(
        rest("PUT", f"{TEAM}/members/{{user}}", role="admin"),
        cli("group.add", group_id="{group}", user_id="{user}", role="admin"),
        at("groups/{group}", press("Change the role", "{user}"), fill("Role", "admin"), CONFIRM),
        make_team,
    ),
    Act.GROUP_MEMBER_REMOVED: Scenario(
        rest("DELETE", f"{TEAM}/members/{{user}}"),
        cli("group.remove", group_id="{group}", user_id="{user}"),
        at("groups/{group}", press("Take out", "{user}"), CONFIRM),
        make_team,
    ),
    Act.GROUP_SLOW_MODE: Scenario(
        rest("PATCH", "/api/groups/{group}", slow_mode_seconds=30),
        cli("group.slow_mode", group_id="{group}", seconds=30),
        None,
        make_own_team,
    ),
    Act.GROUP_DELETED: Scenario(
        rest("DELETE", TEAM),
        cli("group.delete", group_id="{group}"),
        at("groups/{group}", press("Delete"), CONFIRM),
        make_team,
    ),
    Act.NOTIFIED: Scenario(
        rest("POST", "/api/admin/notifications", **NOTICE),
        cli("notify", **NOTICE),
        at(
            "sending",
            fill("To: a user, a group, or * for everybody", "{user}"),
            fill("Title", "Maintenance"),
            press("Send"),
        ),
    ),
    Act.MESSAGES_IMPORTED: Scenario(
        import_by_rest,
        cli("import", lines=[MESSAGE]),
        at("sending", Step("file", "File", MESSAGE), press("Import messages")),
    ),
    Act.PLUGIN_RELOADED: Scenario(
        rest("POST", f"{PIN}/reload"), cli("plugin.reload", name="pin"), at("plugins/pin", press("Load anew"))
    ),
    Act.PLUGIN_UNLOADED: Scenario(
        rest("POST", "/api/admin/plugins/marks/unload"),
        cli("plugin.unload", name="marks"),
        at("plugins/marks", press("Take out"), CONFIRM),
    ),
    Act.PLUGIN_RESUMED: Scenario(
        rest("POST", f"{PIN}/resume"),
        cli("plugin.resume", name="pin"),
        at("plugins/pin", press("Take back into service")),
        set_aside,
    ),
    Act.PLUGIN_SET_ASIDE: Scenario(
        rest("POST", f"{PIN}/set-aside", reason="noisy"),
        cli("plugin.set_aside", name="pin", reason="noisy"),
        at("plugins/pin", press("Set aside"), because("noisy"), CONFIRM),
    ),
    Act.PLUGIN_OPTIONS: Scenario(
        rest("PATCH", "/api/admin/plugins/search/options", results=20),
        cli("plugin.set_options", name="search", changes={"results": 20}),
        at("plugins/search", fill("results", "20"), press("Save")),
    ),
    Act.PLUGIN_JOB: Scenario(
        rest("POST", "/api/admin/plugins/nightly/run-job", schedule="clean"),
        cli("plugin.run_job", plugin="nightly", schedule="clean"),
        at("plugins/nightly", press("Run now", "clean")),
    ),
    Act.SETTINGS_RELOADED: Scenario(
        rest("POST", "/api/admin/settings/reload"), cli("reload"), None, change_settings
    ),
    Act.BACKUP_MADE: Scenario(
        backed_up(rest("POST", BACKUPS)), backed_up(cli("backup.start")), at("backups", press("Make a backup"))
    ),
    Act.BACKUP_DOWNLOADED: Scenario(rest("GET", f"{BACKUPS}/{KEPT}"), None, None, keep_backup),
    Act.DATABASE_RESTORED: Scenario(None, note_restored, None),
    Act.LEADER_MOVED: Scenario(
        rest("POST", "/api/admin/cluster/leader", node="second"),
        cli("cluster.move", node="second"),
        None,
        be_in_a_cluster,
    ),
}
NIGHTLY: Final = '''
"""A plugin with a job."""
from relay.plugin import Schedule, every, hookimpl

@hookimpl
def relay_schedules():
    """Clean every hour."""
    async def clean(server, job):
        """Do nothing."""
    return [Schedule(name="clean", run=clean, when=every("1h"))]
'''


async def state(world: World) -> dict[str, Any]:
    """Return what acts may change, without what is another each time."""

    def read(connection: sqlite3.Connection) -> dict[str, Any]:
        def rows(sql: str) -> list[Any]:
            return connection.execute(sql).fetchall()

        return {
            "accounts": [
                row._replace(created_at=0.0, last_seen=None) for row in listings.list_accounts(connection)
            ],
            "invites": rows("SELECT role, uses_left, expires_at FROM invites ORDER BY 1, 2"),
            "tokens": rows("SELECT user_id, origin, label, scopes, expires_at FROM tokens ORDER BY 1, 2, 3, 4"),
            "devices": rows("SELECT user_id, client_id, revoked_at IS NULL FROM devices ORDER BY 1, 2"),
            "restrictions": rows(
                "SELECT channel_id, user_id, kind, reason, until IS NULL FROM restrictions ORDER BY 1, 2"
            ),
            "reports": rows("SELECT author, state, note FROM reports ORDER BY report_id"),
            "groups": rows("SELECT group_id, name, deleted_at IS NULL, slow_mode_seconds FROM groups"),
            "members": rows("SELECT channel_id, user_id, role, visible_until FROM members ORDER BY 1, 2"),
            "messages": [
                (type_, sender, payload and FILE.sub('"a file"', TIME.sub('"a time"', payload)))
                for type_, sender, payload in rows(
                    "SELECT type, sender_id, payload FROM log WHERE type <> 'audit_event' ORDER BY message_id"
                )
            ],
        }

    registry = world.engine.registry
    return {
        **await world.engine.runner.read(read),
        "plugins": {one.name: one.guard.quarantined for one in registry.loaded},
    }


async def entries(world: World) -> list[dict[str, Any]]:
    found = await world.engine.runner.read(lambda connection: audit.find(connection, Wanted(after=0), 100))
    return [one.payload for one in found]


@asynccontextmanager
async def server_with_plugins(folder: Path, *users: str) -> AsyncIterator[World]:
    """Run a server of the users, of whom root is the owner, with a plugin that has a job, and a settings file."""
    (folder / "plugins.d").mkdir(parents=True)
    (folder / "plugins.d" / "nightly.py").write_text(NIGHTLY)
    (folder / "relay.toml").write_text("")
    settings = {"RELAY_PLUGINS__DIRECTORIES": msgspec.json.encode([str(folder / "plugins.d")]).decode()}
    async with open_world(folder, *users, "root", **settings) as world:
        msgspec.structs.force_setattr(world.engine.settings.plugins, "file", str(folder / "relay.toml"))
        await world.engine.runner.write(partial(accounts.update_user, user_id="root", role=ServerRole.OWNER))
        world.engine.accounts.forget()
        yield world


def same(details: dict[str, Any]) -> dict[str, Any]:
    """Return details without what is made up each time."""
    return {
        name: value for name, value in details.items() if name not in ("token_id", "message_id", "until", "bytes")
    }


def about(entry: dict[str, Any]) -> Any:
    """Return what an entry is about, where that is not made up each time."""
    made_up = entry["act"] in (Act.INVITE_CREATED, Act.BACKUP_MADE) or (entry["about"] or {}).get("kind") in (
        "message",
        "report",
    )
    return (entry["about"] or {}).get("kind") if made_up else entry["about"]
