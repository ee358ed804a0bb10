"""The operator's operations on the database, one function each, in one table.

The command line runs them in its own process if no server uses the database, and otherwise in the server's process
through the control socket. So there is never a second writer, and changes take effect at once: the connections of
a disabled user end, the members of a group learn of its changes.
"""

from __future__ import annotations

import functools
import inspect
import os
import sqlite3
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, Any, Final, get_type_hints

import msgspec
from msgspec import Meta

from relay.app import (
    admin_audit,
    admin_backups,
    admin_cluster,
    admin_data,
    admin_export,
    admin_groups,
    admin_inspector,
    admin_invites,
    admin_moderation,
    admin_operating,
    admin_sample,
    admin_trace,
    plugin_admin,
)
from relay.app.admin_groups import Answer, DisplayName, Limit
from relay.engine import importing, job_acts, notifying
from relay.engine.engine import Engine
from relay.protocol.errors import ErrorCode, RelayError, not_found
from relay.protocol.kinds import ServerRole
from relay.services.administration import Changes
from relay.services.audit import Actor
from relay.services.mail_texts import text_of
from relay.services.recovery import check_mail_address
from relay.storage import accounts, listings
from relay.storage.account_links import address_of
from relay.storage.conversations import groups_of
from relay.storage.names import same_name
from relay.storage.second_factors import find as find_factor

Label = Annotated[str, Meta(max_length=100)]
Scope = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_.:-]{0,63}$(?!\n)")]
Reason = Annotated[str, Meta(max_length=200)]
Days = Annotated[float, Meta(ge=0, le=36_500)]

_ALL: Final = -1
"""No limit, in SQL."""

_USERS: Final = ("user_id", "owner")
"""The arguments that name a user; `members` names several."""


async def add_user(
    engine: Engine,
    actor: Actor,
    user_id: str,
    display_name: DisplayName | None = None,
    role: ServerRole = ServerRole.MEMBER,
    password: str | None = None,
) -> Answer:
    """Create a user, and return the role that they have; see `Administration.add`."""
    given = await engine.administration.add(actor, user_id, display_name, role=role, password=password)
    return {"role": given}


async def list_users(engine: Engine, after: str = "", limit: Limit = 1000) -> list[Answer]:
    """Return users by id, those after `after`."""
    users = await engine.runner.read(lambda connection: accounts.list_users(connection, after=after, limit=limit))
    return [{**user._asdict(), "admin": user.admin} for user in users]


async def show_user(engine: Engine, user_id: str) -> Answer:
    """Return an account, with how it is let in, what it has, and the groups it is in.

    Raises:
        RelayError: `not_found` when there is no such user.
    """

    def read(connection: sqlite3.Connection) -> Answer:
        rows = listings.list_accounts(connection, only=user_id)
        if not rows:
            raise not_found(f"user {user_id!r}")
        factor, address = find_factor(connection, user_id), address_of(connection, user_id)
        return rows[0]._asdict() | {
            "second_factor": factor is not None and factor.confirmed_at is not None,
            "mail_address": None if address is None else address.address,
            "groups": [
                {"group_id": group_id, "name": name, "role": role}
                for group_id, name, role in groups_of(connection, user_id, "", _ALL)
            ],
        }

    found = await engine.runner.read(read)
    tokens, devices = await engine.access.tokens(user_id), await engine.access.devices(user_id)
    connected = len(engine.connections.of(user_id))
    return found | {"tokens": len(tokens), "devices": len(devices), "connected": connected}


async def disable_user(engine: Engine, actor: Actor, user_id: str, reason: Reason = "") -> None:
    """Disable an account; see `Administration.change`."""
    await engine.administration.set_disabled(actor, user_id, True, reason)


async def enable_user(engine: Engine, actor: Actor, user_id: str, reason: Reason = "") -> None:
    """Enable a disabled account again; its tokens become valid again."""
    await engine.administration.set_disabled(actor, user_id, False, reason)


async def set_role(engine: Engine, actor: Actor, user_id: str, role: ServerRole, reason: Reason = "") -> Answer:
    """Give a user another role on this server; return how many owners there are. See `Administration.change`."""
    await engine.administration.set_role(actor, user_id, role, reason)
    return {"owners": await engine.runner.read(accounts.count_owners)}


async def rename_user(engine: Engine, actor: Actor, user_id: str, display_name: DisplayName) -> None:
    """Give a user another display name; see `Administration.change`."""
    await engine.administration.change(actor, user_id, Changes(display_name=display_name))


async def erase_user(engine: Engine, actor: Actor, user_id: str) -> Answer:
    """Erase an account for good; see `Administration.erase_within`."""
    return (await engine.administration.erase_within(actor, user_id))._asdict()


async def delete_user(engine: Engine, actor: Actor, user_id: str) -> None:
    """Delete an account for good, and nothing of what its user said; see `Administration.delete`."""
    await engine.administration.delete(actor, user_id)


async def set_password(engine: Engine, actor: Actor, user_id: str, password: str) -> Answer:
    """Set a password; see `Administration.set_password`."""
    return {"logins_ended": await engine.administration.set_password(actor, user_id, password)}


async def import_users(engine: Engine, actor: Actor, user_ids: list[str], tokens: bool = False) -> Answer:
    """Create the users that do not exist yet; see `Administration.import_missing`."""
    created, issued = await engine.administration.import_missing(actor, user_ids, tokens=tokens)
    return {"created": created, "tokens": issued}


async def create_token(
    engine: Engine, actor: Actor, user_id: str, label: Label = "", scopes: tuple[Scope, ...] = (), days: Days = 0
) -> str:
    """Create a token of a user; see `Access.create_token`."""
    return await engine.access.create_token(actor, user_id, label=label, scopes=scopes, days=days)


async def list_tokens(engine: Engine, user_id: str | None = None) -> list[Answer]:
    """Return the rows of everybody's tokens, or of one user's; never the tokens themselves.

    Raises:
        RelayError: `not_found` when there is no such user.
    """
    return await engine.access.tokens(user_id)


async def revoke_token(engine: Engine, actor: Actor, token_id: str) -> None:
    """Revoke a token; see `Access.revoke_token`."""
    await engine.access.revoke_token(actor, token_id)


async def list_devices(engine: Engine, user_id: str) -> list[Answer]:
    """Return a user's devices that are not revoked, last seen first, and whether each is connected.

    Raises:
        RelayError: `not_found` when there is no such user.
    """
    return [device._asdict() for device in await engine.access.devices(user_id)]


async def revoke_device(engine: Engine, actor: Actor, user_id: str, client_id: str) -> None:
    """Revoke a device; see `Access.revoke_device`."""
    await engine.access.revoke_device(actor, user_id, client_id)


async def list_connections(
    engine: Engine, user_id: str | None = None, after: str = "", limit: Limit = 1000
) -> list[Answer]:
    """Return the connections of now, by user and device; see `Access.live`. `key` is the place in the list."""
    found = await engine.access.live(user_id, after, limit)
    return [{**one._asdict(), "key": one.key} for one in found]


async def end_connection(engine: Engine, actor: Actor, user_id: str, client_id: str) -> None:
    """End a device's connection, and revoke nothing; see `Access.end_connection`."""
    await engine.access.end_connection(actor, user_id, client_id)


async def make_reset_link(engine: Engine, actor: Actor, user_id: str) -> str:
    """Return the code of a link that sets a new password of a user, within a day.

    Raises:
        RelayError: `not_found`.
    """
    code, _ = await engine.recovery.make_reset_link(actor, user_id)
    return code


async def reset_second_factor(engine: Engine, actor: Actor, user_id: str) -> None:
    """Remove the second factor of a user who has lost it.

    Raises:
        RelayError: `not_found` for a user who does not exist, or has none.
    """
    await engine.logins.second_factors.reset(actor, user_id)


async def test_mail(engine: Engine, address: str) -> Answer:
    """Hand a test mail to the server of `[mail]`, and return what came of it.

    Raises:
        RelayError: `invalid_payload` for what is no address.
    """
    check_mail_address(address)
    text = text_of("test", "en", engine.settings.server.public_url)
    return (await engine.mailer.try_out(address, text.subject, text.body))._asdict()


OPERATIONS: Final[dict[str, Callable[..., Awaitable[Any]]]] = {
    "user.add": add_user,
    "user.list": list_users,
    "user.show": show_user,
    "user.disable": disable_user,
    "user.enable": enable_user,
    "user.erase": erase_user,
    "user.delete": delete_user,
    "user.passwd": set_password,
    "user.role": set_role,
    "user.rename": rename_user,
    "user.devices": list_devices,
    "user.revoke_device": revoke_device,
    "connection.list": list_connections,
    "connection.end": end_connection,
    "user.import": import_users,
    "user.export": admin_export.export_account,
    "user.export_messages": admin_export.export_messages,
    "user.export_latest": admin_export.export_latest,
    "user.export_files": admin_export.export_files,
    "user.export_bytes": admin_export.export_bytes,
    "user.reset_link": make_reset_link,
    "user.reset_second_factor": reset_second_factor,
    "mail.test": test_mail,
    "user.invite": admin_invites.create_invite,
    "invite.list": admin_invites.list_invites,
    "invite.revoke": admin_invites.revoke_invite,
    "token.create": create_token,
    "token.list": list_tokens,
    "token.revoke": revoke_token,
    "group.create": admin_groups.create_group,
    "group.list": admin_groups.list_groups,
    "group.show": admin_groups.show_group,
    "group.add": admin_groups.put_member,
    "group.remove": admin_groups.remove_member,
    "group.slow_mode": admin_groups.set_slow_mode,
    "group.delete": admin_groups.delete_group,
    "moderation.restrict": admin_moderation.restrict,
    "moderation.lift": admin_moderation.lift,
    "moderation.list": admin_moderation.list_restrictions,
    "report.list": admin_moderation.list_reports,
    "report.close": admin_moderation.close_report,
    "report.remove": admin_moderation.remove_reported,
    "may": admin_inspector.may,
    "audit.list": admin_audit.list_audit,
    "notify": notifying.notify,
    "import": importing.import_messages,
    "export.begin": admin_data.begin_export,
    "trace": admin_trace.trace,
    "backup.start": admin_backups.start_backup,
    "backup.record": admin_backups.record_backup,
    "backup.list": admin_backups.list_backups,
    "cluster.status": admin_cluster.cluster_status,
    "cluster.move": admin_cluster.cluster_move,
    "status": admin_operating.status,
    "reload": admin_operating.reload,
    "storage": admin_operating.storage,
    "probe.begin": admin_operating.begin_probe,
    "sample.show": admin_sample.show_sample,
    "sample.add": admin_sample.add_sample,
    "sample.remove": admin_sample.remove_sample,
    "plugin.list": plugin_admin.list_plugins,
    "plugin.resume": plugin_admin.resume_plugin,
    "plugin.reload": plugin_admin.reload_plugin,
    "plugin.unload": plugin_admin.unload_plugin,
    "plugin.set_aside": plugin_admin.set_plugin_aside,
    "plugin.options": plugin_admin.show_options,
    "plugin.set_options": plugin_admin.set_options,
    "plugin.command": plugin_admin.run_command,
    "plugin.jobs": job_acts.list_jobs,
    "plugin.run_job": job_acts.run_job,
}


_CREATING: Final = (add_user, import_users)
"""Operations whose user ids are new ones."""


async def perform(engine: Engine, op: str, arguments: dict[str, Any], actor: Actor | None = None) -> Any:
    """Run one operation and return its answer, made of JSON types.

    Args:
        actor: who acts; by default the user that this process runs as.

    Raises:
        RelayError: `unknown_type` for an unknown operation, `invalid_payload` for arguments that do not fit,
            or the operation's own refusal.
    """
    operation = OPERATIONS.get(op)
    if operation is None:
        raise RelayError(
            ErrorCode.UNKNOWN_TYPE, f"this server knows no operation {op[:80]!r}: it is of another version"
        )
    try:
        checked = msgspec.convert(arguments, _arguments(operation))
    except msgspec.ValidationError as error:
        raise RelayError(ErrorCode.INVALID_PAYLOAD, f"{op}: {error}") from None
    given = msgspec.structs.asdict(checked)
    if operation not in _CREATING:
        given = await engine.runner.read(partial(_in_their_case, given=given))
    if "actor" in inspect.signature(operation).parameters:
        given["actor"] = actor or Actor.operator(os.geteuid())
    return msgspec.to_builtins(await operation(engine, **given))


def _in_their_case(connection: sqlite3.Connection, given: dict[str, Any]) -> dict[str, Any]:
    """Return an operation's arguments with each user's id in the case that it was registered in."""
    found: dict[str, Any] = {
        name: same_name(connection, value) for name in _USERS if (value := given.get(name)) is not None
    }
    if "members" in given:
        found["members"] = tuple(same_name(connection, one) for one in given["members"])
    return given | found


@functools.cache
def _arguments(operation: Callable[..., Awaitable[Any]]) -> type[msgspec.Struct]:
    """Return a struct made from an operation's signature, which checks its keyword arguments.

    No request names the actor.
    """
    hints = get_type_hints(operation, include_extras=True)
    _engine, *parameters = inspect.signature(operation).parameters.values()
    fields = [
        (one.name, hints[one.name], msgspec.NODEFAULT if one.default is one.empty else one.default)
        for one in parameters
        if one.name != "actor"
    ]
    return msgspec.defstruct("Arguments", fields, kw_only=True, forbid_unknown_fields=True)
