"""Webhooks: messages posted to URLs, signed, in order and at least once; and URLs that post messages."""

from functools import partial

import msgspec

from relay.plugin import BackgroundTask, Command, MessageHook, Migration, Routes, SessionHook, hookimpl

from .commands import make_commands
from .options import Options
from .routes import make_routes
from .running import deliver
from .tables import SCHEMA, forget_answers, remove_incoming_of


@hookimpl
def relay_options() -> type[msgspec.Struct]:
    """Read `[plugins.webhooks]` into `Options`."""
    return Options


@hookimpl
def relay_migrations() -> list[Migration]:
    """Create the plugin's tables."""
    return [Migration(name="webhooks", sql=SCHEMA)]


@hookimpl
def relay_message_hooks() -> list[MessageHook]:
    """Forget what receivers said of messages that changed: they may have repeated them."""
    return [
        MessageHook(
            edited=lambda _server, connection, message: forget_answers(connection, [message.message_id]),
            erased=lambda _server, connection, message_ids: forget_answers(connection, message_ids),
        )
    ]


@hookimpl
def relay_session_hooks() -> list[SessionHook]:
    """Remove the incoming webhooks that post as somebody who is erased."""
    return [SessionHook(left=lambda _server, connection, user_id: remove_incoming_of(connection, user_id))]


@hookimpl
def relay_background(options: Options) -> list[BackgroundTask]:
    """Deliver."""
    return [BackgroundTask(name="deliver", run=partial(deliver, options=options))]


@hookimpl
def relay_routes(options: Options) -> list[Routes]:
    """Add `/api/webhooks` and `/hook`."""
    return [make_routes(options)]


@hookimpl
def relay_commands(options: Options) -> list[Command]:
    """Add `relay webhook …`."""
    return make_commands(options)
