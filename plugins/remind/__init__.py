"""Reminders: `remind` names a time, and `reminder` comes then; `/api/reminders`, and `/remind` with `bots`."""

import sqlite3
from functools import partial
from typing import Annotated

import msgspec
from msgspec import Meta

from relay.plugin import (
    ConversationKind,
    Draft,
    Entry,
    ErrorCode,
    Integer,
    Kind,
    MessageHook,
    MessageType,
    Migration,
    Name,
    PageExtension,
    Payload,
    RelayError,
    Routes,
    Schedule,
    SessionHook,
    SlashCommand,
    check_future,
    check_shown,
    hookimpl,
)

from .command import remind_by_command
from .options import Options
from .sending import left, remind, stored
from .table import SCHEMA, Reminder, add, count, forget
from .times import read_time, read_zone
from .views import blueprint


class Remind(Payload):
    """The text, and when it is to come: one of `when` and `at`, which the server sets."""

    text: Annotated[str, Meta(min_length=1, max_length=1000, description="what to be reminded of")]
    when: Annotated[
        Annotated[str, Meta(min_length=1, max_length=64)] | None,
        Meta(description="in 10m, in 2 hours, at 09:30, tomorrow 09:00 or 2026-12-24 18:00"),
    ] = None
    at: Annotated[Annotated[float, Meta(ge=0, le=2**53)] | None, Meta(description="when, Unix seconds")] = None
    zone: Annotated[Name | None, Meta(description="the time zone of `when`, as Europe/Berlin")] = None
    only_me: Annotated[bool, Meta(description="whether it comes to the sender alone, with the notifications")] = (
        False
    )


class ReminderPayload(Payload):
    """The text of a reminder, and the `remind` that asked for it."""

    text: str
    remind: Integer


class Due(msgspec.Struct):
    """The time of a reminder, Unix seconds."""

    at: float


def prepare(draft: Draft, options: Options) -> None:
    """Add the reminder, and the job that sends it, in the transaction that stores the message."""
    said: Remind = draft.payload
    server, now = draft.server, draft.server.now()
    said.text = check_shown(said.text, "text", lines=True)
    if said.when is not None and said.at is None:
        try:
            said.at = read_time(said.when, now, read_zone(said.zone or options.zone))
        except ValueError as error:
            raise RelayError(ErrorCode.INVALID_PAYLOAD, f"zone: {error}") from None
    elif said.when is not None or said.at is None:
        raise RelayError(ErrorCode.INVALID_PAYLOAD, "say either `when`, as in 10m, or `at`, in Unix seconds")
    at, said.when, said.zone = said.at, None, None
    if at > now + options.longest_days * 86_400:
        raise RelayError(ErrorCode.INVALID_PAYLOAD, f"a reminder comes within {options.longest_days} days")

    def apply(connection: sqlite3.Connection, entry: Entry) -> None:
        check_future("the time", at, entry)
        if count(connection, entry.sender_id) >= options.per_user:
            raise RelayError(
                ErrorCode.FORBIDDEN, f"you have {options.per_user} reminders that wait; delete one first"
            )

    def after(connection: sqlite3.Connection, entry: Entry) -> None:
        assert entry.message_id is not None  # noqa: S101 - it is stored
        place = draft.conversation.address
        add(connection, Reminder(entry.message_id, entry.sender_id, place, at, said.only_me))
        server.jobs.add_inside(connection, "remind", at=at, key=str(entry.message_id))

    draft.apply, draft.after, draft.answer = apply, after, {"at": at}


async def handle(draft: Draft) -> None:
    """Keep a reminder that is for its sender alone in the sender's own channel."""
    if draft.payload.only_me:
        draft.conversation, draft.target_id = await draft.server.conversations.own(draft.sender.user_id), ""


@hookimpl
def relay_options() -> type[msgspec.Struct]:
    """Register `[plugins.remind]`, read into `Options`."""
    return Options


@hookimpl
def relay_migrations() -> list[Migration]:
    """Create the table of reminders."""
    return [Migration(name="reminders", sql=SCHEMA)]


@hookimpl
def relay_message_types(options: Options) -> list[MessageType]:
    """Add what asks for a reminder, and what comes at its time."""
    places = frozenset({ConversationKind.USER, ConversationKind.GROUP})
    return [
        MessageType(
            name="remind", payload=Remind, kind=Kind.STREAM, targets=places, private="only_me",
            answer=Due, prepare=partial(prepare, options=options), handle=handle,
        ),
        MessageType(
            name="reminder", payload=ReminderPayload, kind=Kind.STREAM, targets=places | {ConversationKind.SELF},
            from_clients=False, unread=True, search_text=lambda reminder: str(reminder.text),
        ),
    ]  # fmt: skip


@hookimpl
def relay_message_hooks() -> list[MessageHook]:
    """Watch for deleted reminders, and for members who leave."""
    return [MessageHook(erased=forget), MessageHook(types=frozenset({"group_event"}), stored=stored)]


@hookimpl
def relay_session_hooks() -> list[SessionHook]:
    """Watch for users who are erased."""
    return [SessionHook(left=left)]


@hookimpl
def relay_schedules(options: Options) -> list[Schedule]:
    """Add the schedule whose jobs are the reminders."""
    return [Schedule(name="remind", run=partial(remind, options=options))]


@hookimpl
def relay_routes() -> list[Routes]:
    """Add `/api/reminders`."""
    return [Routes(blueprint=blueprint)]


@hookimpl
def relay_page() -> PageExtension:
    """Draw reminders in relay's own page."""
    return PageExtension(folder="page", module="remind.js", styles=["remind.css"])


@hookimpl
def relay_slash_commands(options: Options) -> list[SlashCommand]:
    """Add `/remind`."""
    return [
        SlashCommand(
            name="remind",
            description="Remind me, or everybody here, at a time; without one, list my reminders",
            usage="[me|here] in 10 minutes to stretch",
            arguments={"me|here": "to whom; to me by default", "when": "in 10m, at 09:30, tomorrow 09:00"},
            run=partial(remind_by_command, options=options),
        )
    ]
