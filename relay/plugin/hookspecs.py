"""The hooks: functions by which a plugin registers its parts at the start; relay calls the parts, guarded.

An implementation takes those of a hook's parameters that it needs. `options` is the plugin's own
`[plugins.NAME]` table: an instance of the struct that `relay_options` returned, else the table as a dict.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
import pluggy

from relay.plugin.asking import AccountHook, ConversationHook, PasswordAuthenticator, UploadHook
from relay.plugin.diagnostics import Diagnostics
from relay.plugin.page import PageExtension
from relay.plugin.registrations import (
    Authenticator,
    BackgroundTask,
    Command,
    MessageHook,
    Migration,
    Routes,
    SessionHook,
)
from relay.plugin.schedules import Schedule
from relay.plugin.sign_in_ways import SignInWay
from relay.plugin.slash_commands import SlashCommand
from relay.plugin.types import MessageType
from relay.storage.portable import PortableTable

PROJECT: Final = "relay"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def relay_options() -> type[msgspec.Struct]:  # type: ignore[empty-body]
    """Return the struct that `[plugins.NAME]` is read into; an unknown or wrong key is told with its line."""


@hookspec
def relay_message_types(options: Any) -> list[MessageType]:  # type: ignore[empty-body]
    """Return the message types that this plugin adds."""


@hookspec
def relay_message_hooks(options: Any) -> list[MessageHook]:  # type: ignore[empty-body]
    """Return code that runs for messages: before, in, and after their transaction."""


@hookspec
def relay_session_hooks(options: Any) -> list[SessionHook]:  # type: ignore[empty-body]
    """Return code that runs when devices and people come and go."""


@hookspec
def relay_authenticators(options: Any) -> list[Authenticator]:  # type: ignore[empty-body]
    """Return other sources of identities than relay's own accounts and tokens."""


@hookspec
def relay_password_authenticators(options: Any) -> list[PasswordAuthenticator]:  # type: ignore[empty-body]
    """Return sources of users who sign in by a password, as on the page, besides relay's own accounts."""


@hookspec
def relay_sign_in_ways(options: Any) -> list[SignInWay]:  # type: ignore[empty-body]
    """Return ways of signing in that the page shows as buttons, such as by another server."""


@hookspec
def relay_account_hooks(options: Any) -> list[AccountHook]:  # type: ignore[empty-body]
    """Return code that is asked before an account is created, or a display name is shown."""


@hookspec
def relay_conversation_hooks(options: Any) -> list[ConversationHook]:  # type: ignore[empty-body]
    """Return code that is asked before a conversation begins, and before a group's members or name change."""


@hookspec
def relay_upload_hooks(options: Any) -> list[UploadHook]:  # type: ignore[empty-body]
    """Return code that is asked before a file is taken, and before anybody can see it."""


@hookspec
def relay_migrations() -> list[Migration]:  # type: ignore[empty-body]
    """Return the steps of this plugin's own schema, oldest first; each runs once, before anything else does."""


@hookspec
def relay_background(options: Any) -> list[BackgroundTask]:  # type: ignore[empty-body]
    """Return tasks that run while the server does."""


@hookspec
def relay_schedules(options: Any) -> list[Schedule]:  # type: ignore[empty-body]
    """Return work at set times, which survives restarts."""


@hookspec
def relay_routes(options: Any) -> list[Routes]:  # type: ignore[empty-body]
    """Return paths of this plugin's own, as Quart blueprints."""


@hookspec
def relay_commands(options: Any) -> list[Command]:  # type: ignore[empty-body]
    """Return commands that `relay` has while this plugin is enabled."""


@hookspec
def relay_slash_commands(options: Any) -> list[SlashCommand]:  # type: ignore[empty-body]
    """Return slash commands that people type in conversations, where the plugin `bots` is enabled."""


@hookspec
def relay_diagnostics(options: Any) -> list[Diagnostics]:  # type: ignore[empty-body]
    """Return what this plugin can tell those who look for a fault: its part of a trace, queues, room to come."""


@hookspec
def relay_portable_tables(options: Any) -> list[PortableTable]:  # type: ignore[empty-body]
    """Return the tables of this plugin's that an export carries over, and an import fills."""


@hookspec
def relay_page(options: Any) -> PageExtension:  # type: ignore[empty-body]
    """Return how relay's own page draws this plugin's messages: a JavaScript module and styles."""
