"""`word_filter`: words that are masked, refused or reported, in whatever people write and in names.

It looks at the `content` of every message, at edits, at streamed messages while they grow, and at the names of
users and groups. In a name a word is always refused.
"""

from functools import partial

import msgspec

from relay.plugin import (
    AccountHook,
    ConversationHook,
    ConversationKind,
    Draft,
    Entry,
    ErrorCode,
    MessageHook,
    NewName,
    RelayError,
    Server,
    group_address,
    hookimpl,
)

from .matching import Found, Words, masked
from .options import Action, Options


def before(words: Words[Action], exempt: frozenset[str], draft: Draft) -> None:
    """Refuse a message with a word that is refused, and mask those that are masked.

    Raises:
        RelayError: `forbidden`, naming the word as it was written.
    """
    content = getattr(draft.payload, "content", None)
    if not isinstance(content, str) or not content or draft.conversation.address in exempt:
        return
    found = list(words.find(content))
    if not found:
        return
    _refuse_first(content, found)
    hidden = [one for one in found if one.what == "mask"]
    if hidden:
        draft.payload.content = masked(content, hidden)
        draft.server.count("words", "masked")


def _refuse_first(text: str, found: list[Found[Action]]) -> None:
    for one in found:
        if one.what == "refuse":
            word = text[one.start : one.end]
            raise RelayError(
                ErrorCode.FORBIDDEN,
                f"{word!r} is not written here; say it in other words",
                details={"reason": "word_refused", "word": word},
            )


def check_name(words: Words[Action], _server: Server, new: NewName) -> None:
    """Refuse a name with any word of the list.

    Raises:
        RelayError: `forbidden`.
    """
    found = next(words.find(new.text), None)
    if found is not None:
        _refuse_first(new.text, [found._replace(what="refuse")])


async def report(words: Words[Action], options: Options, server: Server, entry: Entry) -> None:
    """Report a message with a word that is reported, once it is stored; its sender is not told."""
    said = msgspec.json.decode(entry.payload)
    content = said.get("content")
    message_id = said.get("message_id") if entry.type == "message_edit" else entry.message_id
    if not isinstance(content, str) or not content or not isinstance(message_id, int):
        return
    place = await server.conversations.by_id(entry.channel_id)
    if place is None or place.address in {group_address(one) for one in options.exempt_groups}:
        return
    found = [one for one in words.find(content) if one.what == "report"]
    if not found or place.kind not in (ConversationKind.USER, ConversationKind.GROUP):
        return
    written = ", ".join(dict.fromkeys(content[one.start : one.end] for one in found))
    await server.ensure_user(options.sender, "Word filter")
    try:
        await server.messages.report(options.sender, message_id, "other", written[:2000])
    except RelayError as refused:  # it is deleted or reported by now, or this server has no moderators yet
        server.log.info("message %d was not reported: %s", message_id, refused.message)
    else:
        server.count("words", "reported")


@hookimpl
def relay_options() -> type[msgspec.Struct]:
    """Read `[plugins.word_filter]` into `Options`."""
    return Options


@hookimpl
def relay_message_hooks(options: Options) -> list[MessageHook]:
    """Look at what is about to be stored, and report what was."""
    words = options.read()
    exempt = frozenset(group_address(one) for one in options.exempt_groups)
    hooks = [MessageHook(before=partial(before, words, exempt))]
    if words.has("report"):
        hooks.append(MessageHook(committed=partial(report, words, options)))
    return hooks if words else []


@hookimpl
def relay_account_hooks(options: Options) -> list[AccountHook]:
    """Look at the names of users."""
    return [AccountHook(name=partial(check_name, options.read()))]


@hookimpl
def relay_conversation_hooks(options: Options) -> list[ConversationHook]:
    """Look at the names of groups."""
    return [ConversationHook(name=partial(check_name, options.read()))]
