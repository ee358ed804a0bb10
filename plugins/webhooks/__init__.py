"""Webhooks: messages posted to URLs, signed, in order and at least once; and URLs that post messages."""

from functools import partial

import msgspec

from relay.plugin import (
    BackgroundTask,
    Command,
    Diagnostics,
    MessageHook,
    Migration,
    PageExtension,
    Routes,
    SessionHook,
    hookimpl,
)

from .commands import make_commands
from .delivery import deliver
from .incoming import remove_of_user
from .options import Options
from .routes import make_routes
from .tables import SCHEMA, USES, forget_answers
from .tracing import queues, trace


@hookimpl
def relay_options() -> type[msgspec.Struct]:
    """Read `[plugins.webhooks]` into `Options`."""
    return Options


@hookimpl
def relay_migrations() -> list[Migration]:
    """Create the plugin's tables."""
    return [Migration(name="webhooks", sql=SCHEMA), Migration(name="uses", sql=USES)]


@hookimpl
def relay_message_hooks() -> list[MessageHook]:
    """Delete what receivers answered to messages that were edited or erased: it may repeat their content."""
    return [
        MessageHook(
            edited=lambda _server, connection, message: forget_answers(connection, [message.message_id]),
            erased=lambda _server, connection, message_ids: forget_answers(connection, message_ids),
        )
    ]


@hookimpl
def relay_session_hooks() -> list[SessionHook]:
    """Delete the incoming webhooks of a user who is erased."""
    return [SessionHook(left=lambda _server, connection, user_id: remove_of_user(connection, user_id))]


@hookimpl
def relay_background(options: Options) -> list[BackgroundTask]:
    """Deliver to outgoing webhooks while the server runs."""
    return [BackgroundTask(name="deliver", run=partial(deliver, options=options))]


@hookimpl
def relay_diagnostics() -> list[Diagnostics]:
    """Tell which webhooks have had a message, and what waits for them."""
    return [Diagnostics(trace=trace, queues=queues)]


@hookimpl
def relay_routes(options: Options) -> list[Routes]:
    """Add `/api/webhooks` and `/hook`."""
    return [make_routes(options)]


@hookimpl
def relay_page() -> PageExtension:
    """Add a section to the administration."""
    return PageExtension(folder="page", module=None, admin="admin.js")


@hookimpl
def relay_commands(options: Options) -> list[Command]:
    """Add `relay webhook …`."""
    return make_commands(options)
