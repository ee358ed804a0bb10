"""Access to accounts: tokens and devices; admins and the operator make and revoke them, with entries."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from relay.protocol import rights
from relay.protocol.errors import CloseCode, not_found
from relay.services.accounts import Accounts
from relay.services.acts import Act
from relay.services.audit import About, Actor, AuditLog
from relay.services.connections import Connection, WebSocketManager
from relay.services.permissions import acting, require
from relay.services.server_roles import check_manages
from relay.storage import access_lists, accounts, devices
from relay.storage.access_lists import BEGINNING, After, DeviceRow, TokenRow
from relay.storage.devices import Device
from relay.storage.jobs import Runner

_DAY: Final = 86_400.0


class Access:
    """Makes and revokes what gives access to an account, for somebody who may.

    Args:
        now: Unix seconds.
    """

    def __init__(
        self,
        runner: Runner,
        audit: AuditLog,
        identities: Accounts,
        connections: WebSocketManager,
        now: Callable[[], float],
    ) -> None:
        self._runner = runner
        self._audit = audit
        self._identities = identities
        self._connections = connections
        self._now = now

    async def create_token(
        self, actor: Actor, user_id: str, *, label: str = "", scopes: tuple[str, ...] = (), days: float = 0
    ) -> str:
        """Make a token of a user that expires after `days` (0: never), and return it.

        Raises:
            RelayError: `not_found` when there is no such user; `forbidden` for a guest's, and for the account of
                somebody whose role is not below the actor's.
        """
        now = self._now()
        expires_at = now + days * _DAY if days else None

        def create(connection: sqlite3.Connection) -> str:
            check_account(connection, actor, user_id)
            require(acting(connection, user_id), rights.Act.HAVE_TOKENS)
            token = accounts.create_token(
                connection, user_id, now, origin="cli", label=label, scopes=scopes, expires_at=expires_at
            )
            made = accounts.find_token(connection, accounts.hash_secret(token))
            assert made is not None  # noqa: S101 - it was just made
            details = {"token_id": made.token_id, "label": label, "scopes": scopes, "expires_at": expires_at}
            self._audit.write(connection, actor, Act.TOKEN_CREATED, About("user", user_id), details)
            return token

        return await self._runner.write(create)

    async def tokens(self, user_id: str | None = None) -> list[dict[str, Any]]:
        """Return the rows of everybody's tokens, or of one user's, oldest first; never the tokens themselves.

        Raises:
            RelayError: `not_found` when there is no such user.
        """

        def find(connection: sqlite3.Connection) -> list[dict[str, Any]]:
            if user_id is not None and accounts.role_of(connection, user_id) is None:
                raise not_found(f"user {user_id!r}")
            return accounts.list_tokens(connection, user_id)

        last_use = self._identities.last_use
        return [
            row | {"last_used_at": last_use(row["token_id"], row["last_used_at"])}
            for row in await self._runner.read(find)
        ]

    async def find_tokens(
        self, text: str = "", user_id: str | None = None, origin: str | None = None, *, after: After, limit: int
    ) -> list[TokenRow]:
        """Return tokens of everybody, the newest first; see `access_lists.find_tokens`."""
        rows = await self._runner.read(
            lambda connection: access_lists.find_tokens(
                connection, text=text, user_id=user_id, origin=origin, after=after, limit=limit
            )
        )
        last_use = self._identities.last_use
        return [row._replace(last_used_at=last_use(row.token_id, row.last_used_at)) for row in rows]

    async def find_devices(
        self, text: str = "", user_id: str | None = None, *, after: After = BEGINNING, limit: int
    ) -> list[tuple[DeviceRow, Connection | None]]:
        """Return devices of everybody, last seen first, each with its connection."""
        rows = await self._runner.read(
            lambda connection: access_lists.find_devices(
                connection, text=text, user_id=user_id, after=after, limit=limit
            )
        )
        return [(row, self._connections.of(row.user_id).get(row.client_id)) for row in rows]

    async def live(self, user_id: str | None = None, after: str = "", limit: int = 1000) -> list[Live]:
        """Return the connections of now, by user and device.

        Args:
            after: the last one of the page before, as `Live.key`.
        """
        known = self._connections if user_id is None else self._connections.of(user_id).values()
        keyed = sorted(((one.user_id, one.client_id), one) for one in known)
        begun = tuple(after.split(":", 1))
        page = [one for key, one in keyed if key > begun][:limit]

        def read(connection: sqlite3.Connection) -> list[DeviceRow | None]:
            return [access_lists.device_of(connection, one.user_id, one.client_id) for one in page]

        return [_live(one, device) for one, device in zip(page, await self._runner.read(read), strict=True)]

    async def end_connection(self, actor: Actor, user_id: str, client_id: str) -> None:
        """End a device's connection with 4406, and revoke nothing: its program comes back, and resumes.

        Raises:
            RelayError: `not_found` where it is not connected; `forbidden` as for `create_token`.
        """
        live = self._connections.of(user_id).get(client_id)
        if live is None:
            raise not_found(f"connection of {user_id!r} with the device {client_id!r}")

        def record(connection: sqlite3.Connection) -> None:
            check_account(connection, actor, user_id)
            about, details = About("user", user_id), {"client_id": client_id}
            self._audit.write(connection, actor, Act.CONNECTION_ENDED, about, details)

        await self._runner.write(record)
        live.socket.end(CloseCode.ENDED)

    async def revoke_token(self, actor: Actor, token_id: str, user_id: str | None = None) -> None:
        """Revoke a token; the connections that said hello with it end with 4503.

        Args:
            user_id: whose it is; None for anybody's.

        Raises:
            RelayError: `not_found`; `forbidden` as for `create_token`.
        """

        def record(connection: sqlite3.Connection, owner: str) -> None:
            if user_id not in (None, owner):
                raise not_found(f"token {token_id!r} of {user_id!r}")
            check_account(connection, actor, owner)
            self._audit.write(connection, actor, Act.TOKEN_REVOKED, About("user", owner), {"token_id": token_id})

        await self._identities.revoke_token(token_id, record)

    async def revoke_device(self, actor: Actor, user_id: str, client_id: str) -> None:
        """Revoke a device of a user, and the login that it came with; its connections end with 4503.

        Raises:
            RelayError: `not_found`; `forbidden` as for `create_token`.
        """

        def record(connection: sqlite3.Connection) -> None:
            check_account(connection, actor, user_id)
            self._audit.write(
                connection, actor, Act.DEVICE_REVOKED, About("user", user_id), {"client_id": client_id}
            )

        await self._identities.revoke_device(user_id, client_id, record)

    async def devices(self, user_id: str) -> list[SeenDevice]:
        """Return a user's devices that are not revoked, last seen first.

        Raises:
            RelayError: `not_found` when there is no such user.
        """

        def read(connection: sqlite3.Connection) -> list[Device]:
            if accounts.role_of(connection, user_id) is None:
                raise not_found(f"user {user_id!r}")
            return devices.list_devices(connection, user_id)

        found = await self._runner.read(read)
        live = self._connections.of(user_id)
        return [_seen(device, live.get(device.client_id)) for device in found]


class Live(NamedTuple):
    """A connection as admins see it.

    Attributes:
        agent: how its program names itself.
        since: when it came, Unix seconds; None while it is still being sent what it missed.
        waiting, waiting_bytes: frames that have not gone out to it yet.
        in_flight: messages of its own that wait for their commit.
        sent, acked: positions up to which it was sent what concerns it, and has said that it has all.
    """

    user_id: str
    client_id: str
    agent: str
    address: str
    active: bool
    since: float | None
    waiting: int
    waiting_bytes: int
    in_flight: int
    sent: int
    acked: int

    @property
    def key(self) -> str:
        """What a list of them is ordered by."""
        return f"{self.user_id}:{self.client_id}"


def _live(one: Connection, device: DeviceRow | None) -> Live:
    outbox = one.outbox.statistics()
    acked = 0 if device is None else device.acked
    return Live(
        user_id=one.user_id,
        client_id=one.client_id,
        agent="" if device is None else device.agent,
        address=one.address,
        active=one.active,
        since=one.since or None,
        waiting=outbox.frames,
        waiting_bytes=outbox.bytes,
        in_flight=one.in_flight,
        sent=max(one.sent_cursor, acked),
        acked=acked,
    )


class SeenDevice(NamedTuple):
    """A device as admins see it; `address` and `active` are those of its connection."""

    client_id: str
    agent: str
    created_at: float
    seen_at: float
    connected: bool
    active: bool
    address: str


def _seen(device: Device, live: Connection | None) -> SeenDevice:
    return SeenDevice(
        client_id=device.client_id,
        agent=device.agent,
        created_at=device.created_at,
        seen_at=device.seen_at,
        connected=live is not None,
        active=live is not None and live.active,
        address="" if live is None else live.address,
    )


def check_account(connection: sqlite3.Connection, actor: Actor, user_id: str) -> None:
    """Refuse what concerns the account of somebody whose role is not below the actor's; one's own may be.

    Raises:
        RelayError: `not_found`, `forbidden`.
    """
    role = accounts.role_of(connection, user_id)
    if role is None:
        raise not_found(f"user {user_id!r}")
    if actor.by != user_id:
        check_manages(actor.rights, role)
