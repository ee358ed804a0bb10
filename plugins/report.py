"""`report` and `report_state`: a message that somebody reported, as it was, and what became of the report.

The server sends both, to the moderators' conversation. They are ordinary messages: searched, exported and kept
like any other, and seen by hooks.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta

from relay.plugin import ConversationKind, Integer, Kind, MessageType, Name, Payload, hookimpl

MODERATORS = frozenset({ConversationKind.GROUP})


class ReportedMessage(Payload):
    """The reported message as it was, and where it is."""

    message_id: Integer
    type: str
    sender_id: Name
    target_id: Annotated[Name, Meta(description="the group, or in a conversation of two whom it was to")]
    kind: Annotated[Literal["user", "group"], Meta(description="what the conversation is")]
    timestamp: Annotated[float, Meta(description="when it was said, Unix seconds")]
    payload: Annotated[dict[str, Any], Meta(description="with the descriptions of its files in `files`")]
    name: Annotated[str, Meta(description="the group's name")] = ""
    edited_at: Annotated[float | None, Meta(description="when its text was changed last, Unix seconds")] = None


class Report(Payload):
    """A message that the envelope's sender reported to the moderators."""

    message: ReportedMessage
    reason: Annotated[Literal["spam", "abuse", "illegal", "other"], Meta(description="what is wrong with it")]
    text: Annotated[str, Meta(description="what the reporter says about it")] = ""


class ReportState(Payload):
    """The state of a report, the newest one; `by` and `note` are of the moderator who closed it."""

    report_id: Annotated[Integer, Meta(description="the `message_id` of the report")]
    state: Literal["open", "resolved", "dismissed"]
    reports: Annotated[Integer, Meta(description="how many people have reported the message")]
    by: Name | None = None
    note: str = ""
    removed: Annotated[bool, Meta(description="whether the message is gone")] = False


def words_of(report: Report) -> str:
    """Return what a search finds a report by: the reported text, and what was said about it."""
    content = report.message.payload.get("content")
    return "\n".join(one for one in (content, report.text) if isinstance(one, str) and one)


@hookimpl
def relay_message_types(options: dict[str, Any]) -> list[MessageType]:
    """Add `report` and `report_state`."""
    return [
        MessageType(
            name="report",
            payload=Report,
            kind=Kind.STREAM,
            targets=MODERATORS,
            priority=30,
            from_clients=False,
            unread=True,
            deletable=False,
            search_text=words_of,
        ),
        MessageType(
            name="report_state",
            payload=ReportState,
            kind=Kind.LATEST,
            targets=MODERATORS,
            priority=40,
            from_clients=False,
            key=lambda state: str(state.report_id),
            about=lambda state: int(state.report_id),
        ),
    ]
