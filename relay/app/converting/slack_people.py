"""Slack's people: those of users.json, and whoever wrote a message."""

from __future__ import annotations

from typing import Final

from relay.app.converting.model import Person
from relay.app.converting.people import People
from relay.app.converting.slack_shapes import Message, Profile, User

_SLACKBOT: Final = "USLACKBOT"


def meet(people: People, key: str | None, where: str) -> None:
    """Note somebody whom a list or a message names by their id alone."""
    slackbot = key == _SLACKBOT
    people.meet(key, where, "slackbot" if slackbot else "", bot=slackbot)


def person_of(user: User) -> Person:
    """Return a person of users.json."""
    profile = user.profile or Profile()
    called = user.name or profile.display_name or user.real_name or profile.real_name or user.id
    return Person(
        key=user.id,
        called=called,
        display_name=profile.display_name or profile.real_name or user.real_name or called,
        email=profile.email or None,
        bot=bool(user.is_bot or user.is_app_user) or user.id == _SLACKBOT,
        guest=bool(user.is_restricted or user.is_ultra_restricted),
        disabled=bool(user.deleted),
    )


def author_of(message: Message) -> tuple[str | None, str, bool]:
    """Return who wrote a message: an id of Slack's, a name where the message has one, whether it is a program."""
    if message.subtype == "file_comment" and message.comment is not None and message.comment.user:
        return message.comment.user, "", False
    if message.user:
        slackbot = message.user == _SLACKBOT
        return message.user, "slackbot" if slackbot else _called(message.user_profile), slackbot
    if message.bot_id:
        return message.bot_id, _called(message.bot_profile) or message.username or "", True
    if message.username:  # of a webhook, long ago
        return f"B-{message.username}", message.username, True
    return None, "", False


def _called(profile: Profile | None) -> str:
    return (profile.name or profile.display_name or profile.real_name or "") if profile is not None else ""
