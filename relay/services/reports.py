"""Reports: a user shows a message to the moderators of the server, who look at it and close the report.

The report is a message in the moderators' conversation, with a copy of what was reported: whoever reports a
message of a private conversation gives it away by that, and nothing else of the conversation.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import partial
from typing import Any, Final, Literal, NamedTuple

import msgspec

from relay.protocol.envelope import encode_json
from relay.protocol.errors import ErrorCode, RelayError, not_found
from relay.protocol.kinds import ConversationKind, Kind
from relay.services.audit import About, Actor
from relay.services.channels import Conversation
from relay.services.moderation import Moderation, Services
from relay.services.moderators import Moderators
from relay.services.router import Submission
from relay.storage import reports
from relay.storage.entry import Entry, Unchanged, made_here
from relay.storage.history import Record
from relay.storage.reports import Report, Reporter

ReportReason = Literal["spam", "abuse", "illegal", "other"]
State = Literal["open", "resolved", "dismissed"]
_PLACES: Final = (ConversationKind.USER, ConversationKind.GROUP)


class Filed(NamedTuple):
    """A report that was taken, and how many people have reported the message by now."""

    report_id: int
    people: int


class Reports:
    """Takes reports, and closes them.

    Args:
        services: those that it stands on.
        reportable: tells whether people write messages of a type.
    """

    def __init__(
        self,
        services: Services,
        moderators: Moderators,
        moderation: Moderation,
        reportable: Callable[[str], bool],
    ) -> None:
        self._runner = services.runner
        self._router = services.router
        self._channels = services.channels
        self._history = services.history
        self._audit = services.audit
        self._now = services.now
        self._moderators = moderators
        self._moderation = moderation
        self._reportable = reportable

    async def file(
        self,
        user_id: str,
        message_id: int,
        reason: ReportReason,
        text: str = "",
        *,
        tell: bool = False,
        unseen: bool = False,
    ) -> Filed:
        """Report a message to the moderators; a further report of it only counts.

        Args:
            tell: whether the user wishes to hear what became of it.
            unseen: whether the user need not see the message, as they stand for a program.

        Raises:
            RelayError: `not_found` for a message that the user may not see; `forbidden` for their own one, for one
                that no person wrote, and on a server without moderators; `conflict` for a second report of it.
        """
        find = self._history.stored if unseen else partial(self._history.find, user_id)
        found = await find(message_id)
        record, place = found.record, await self._channels.at(found.address)
        if record.payload is None or place is None:
            raise not_found(f"message {message_id}")
        if record.sender_id == user_id:
            text = "nobody reports what they said themself"
            raise RelayError(ErrorCode.FORBIDDEN, text, details={"reason": "yourself"})
        if place.kind not in _PLACES or not self._reportable(record.type):
            raise RelayError(ErrorCode.INVALID_PAYLOAD, f"a {record.type} cannot be reported: nobody wrote it")
        moderators = await self._moderators.conversation()
        reporter = Reporter(user_id, reason, text.strip(), self._now(), tell)
        known = await self._runner.read(lambda connection: reports.of_message(connection, message_id), inline=True)
        if known is None:
            made = await self._begin(moderators, place, record, reporter)
            if made is not None:
                return Filed(made, 1)
            known = await self._runner.read(lambda connection: reports.of_message(connection, message_id))
        assert known is not None  # noqa: S101 - somebody else was faster
        count = await self._count_up(moderators, known, reporter)
        return Filed(known.report_id, count)

    async def _begin(
        self, moderators: Conversation, place: Conversation, record: Record, reporter: Reporter
    ) -> int | None:
        """Store the first report of a message, and return its id; None if another one has just come first."""

        def apply(connection: sqlite3.Connection, _entry: Entry) -> None:
            if reports.of_message(connection, record.message_id) is not None:
                raise Unchanged
            reports.add_reporter(connection, record.message_id, reporter)

        def after(connection: sqlite3.Connection, entry: Entry) -> None:
            assert entry.message_id is not None  # noqa: S101 - it is stored
            reports.add(connection, record.message_id, entry.message_id, record.sender_id)

        payload = {
            "message": _as_it_was(record, place),
            "reason": reporter.reason,
            **({"text": reporter.text} if reporter.text else {}),
        }
        entry = _entry(moderators, "report", Kind.STREAM, reporter.user_id, payload, apply=apply, after=after)
        stored = await self._router.send(Submission(entry, moderators))
        return stored.message_id if stored.stored else None

    async def _count_up(self, moderators: Conversation, known: Report, reporter: Reporter) -> int:
        def change(connection: sqlite3.Connection) -> None:
            if not reports.add_reporter(connection, known.message_id, reporter):
                text = "you have reported this message already"
                raise RelayError(ErrorCode.CONFLICT, text, details={"reason": "already_reported"})

        return (await self._change(moderators, known, change)).people

    async def close(self, actor: Actor, report_id: int, state: State, note: str = "") -> Report:
        """Close a report, or open it again, and tell those who wished to hear of it.

        Raises:
            RelayError: `not_found`; `conflict` if it is in that state already.
        """
        known = await self.get(report_id)
        moderators = await self._moderators.conversation()

        def change(connection: sqlite3.Connection) -> None:
            present = reports.find(connection, report_id)
            if present is None or present.state == state:
                raise RelayError(ErrorCode.CONFLICT, f"the report is {state} already")
            reports.close(connection, report_id, state, actor.by, note.strip(), self._now())
            act = "report.reopened" if state == "open" else f"report.{state}"
            self._audit.write(connection, actor, act, About("report", str(report_id)), {"note": note.strip()})

        report = await self._change(moderators, known, change)
        if state != "open":
            for reporter in await self._runner.read(partial(reports.reporters, message_id=known.message_id)):
                if reporter.tell:
                    await self._moderation.tell(
                        actor, reporter.user_id, f"report_{state}", "", message_id=known.message_id
                    )
        return report

    async def remove_in_group(self, actor: Actor, message_id: int, reason: str) -> None:
        """Remove a message of a group, as its owner or an admin.

        Raises:
            RelayError: `not_found`, `forbidden`.
        """
        found = await self._history.find(actor.by or "", message_id)
        place = await self._channels.at(found.address)
        if place is None or found.record.deleted_at is not None:
            raise not_found(f"message {message_id}")
        await self._moderation.remove(actor, place, found.record, reason.strip())

    async def remove(self, actor: Actor, report_id: int, reason: str) -> Report:
        """Remove the reported message.

        Raises:
            RelayError: `not_found` for a report, or a message that is gone.
        """
        report = await self.get(report_id)

        found = await self._history.stored(report.message_id)
        place = await self._channels.at(found.address)
        if place is None or found.record.payload is None:
            raise not_found(f"message {report.message_id}")
        await self._moderation.remove(actor, place, found.record, reason.strip(), reported=True)
        moderators = await self._moderators.conversation()
        return await self._change(moderators, report, lambda _connection: None)

    async def get(self, report_id: int) -> Report:
        """Return a report.

        Raises:
            RelayError: `not_found`.
        """
        found = await self._runner.read(lambda connection: reports.find(connection, report_id), inline=True)
        if found is None:
            raise not_found(f"report {report_id}")
        return found

    async def page(
        self, state: State | None, before: int | None, limit: int
    ) -> list[tuple[Report, list[Reporter]]]:
        """Return reports with those who made them, the newest first."""

        def read(connection: sqlite3.Connection) -> list[tuple[Report, list[Reporter]]]:
            found = reports.page(connection, state, before, limit)
            return [(one, reports.reporters(connection, one.message_id)) for one in found]

        return await self._runner.read(read)

    async def _change(
        self, moderators: Conversation, known: Report, change: Callable[[sqlite3.Connection], None]
    ) -> Report:
        """Change a report, and tell the moderators its new state, in one transaction."""
        changed: list[Report] = []

        def apply(connection: sqlite3.Connection, _entry: Entry) -> str:
            change(connection)
            report = reports.find(connection, known.report_id)
            if report is None:
                raise not_found(f"report {known.report_id}")
            changed.append(report)
            return encode_json(_state(report)).decode()

        sender = await self._runner.read(partial(_first_reporter, message_id=known.message_id), inline=True)
        entry = _entry(moderators, "report_state", Kind.LATEST, sender, {}, apply=apply)
        entry.key, entry.about = str(known.report_id), known.report_id
        await self._router.send(Submission(entry, moderators))
        return changed[-1]


def _first_reporter(connection: sqlite3.Connection, message_id: int) -> str:
    """Return in whose name all states of a report stand, so that each replaces the one before."""
    row = connection.execute(
        "SELECT l.sender_id FROM reports r JOIN log l ON l.message_id = r.report_id WHERE r.message_id = ?",
        (message_id,),
    ).fetchone()
    return str(row[0])


def _entry(
    conversation: Conversation, type_: str, kind: Kind, sender_id: str, payload: dict[str, Any], **code: Any
) -> Entry:
    group_id = conversation.address.partition(":")[2]
    return made_here(conversation.channel_id, type_, sender_id, group_id, payload, kind, reads=False, **code)


def _as_it_was(record: Record, place: Conversation) -> dict[str, Any]:
    """Return a message for its report; what it needs is copied, as the message may be changed or deleted."""
    copied: dict[str, Any] = {
        "message_id": record.message_id,
        "type": record.type,
        "sender_id": record.sender_id,
        "target_id": record.target_id,
        "kind": str(place.kind),
        "timestamp": record.timestamp,
        "payload": msgspec.json.decode(record.payload or "{}"),
    }
    if place.name:
        copied["name"] = place.name
    if record.edited_at is not None:
        copied["edited_at"] = record.edited_at
    return copied


def _state(report: Report) -> dict[str, Any]:
    state: dict[str, Any] = {"report_id": report.report_id, "state": report.state, "reports": report.people}
    state |= {"by": report.closed_by} if report.closed_by is not None else {}
    state |= {"note": report.note} if report.note else {}
    return state | ({"removed": True} if report.removed else {})
