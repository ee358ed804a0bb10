"""The settings `[plugins.notifications]`."""

import ipaddress
import string
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from relay.plugin import cleaned

Do = Literal["push", "store", "nothing"]
Content = Literal["full", "sender", "none"]
"""How much of a message leaves the server: all of it, its sender, or only that there is one."""

PRIVACY: tuple[Content, ...] = ("full", "sender", "none")
"""The levels, from the most to the least that is said."""

FIELDS = ("title", "text", "sender", "sender_id", "conversation", "type", "count")
"""The names that a rule's `title` and `body` may have in braces."""

Named = Annotated[str, Meta(min_length=1, max_length=64)]
Word = Annotated[str, Meta(min_length=1, max_length=100)]
Template = Annotated[str, Meta(min_length=1, max_length=500)]
Seconds = Annotated[float, Meta(ge=0, le=86_400)]
Hours = Annotated[float, Meta(gt=0, le=8760)]


def check_template(key: str, template: str, fields: tuple[str, ...]) -> None:
    """Refuse a template with an unknown name in braces.

    Raises:
        ValueError: naming the key and what there is.
    """
    known = ", ".join(f"{{{name}}}" for name in fields)
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f"{key}: {error}; braces stand around one of {known}") from None
    for _text, name, form, conversion in parts:
        if name is not None and (name not in fields or form or conversion):
            raise ValueError(f"{key}: {{{name}}} is not known; there are {known}")


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule of `[[plugins.notifications.rules]]`: what to do with the messages that fit all its conditions.

    Attributes:
        do: push (outward), store (a `notification` in the user's own channel), both as a list, or nothing.
        types: message types; without them all that make a conversation unread.
        kinds: kinds of conversation.
        groups, senders: where it was sent, and by whom.
        users: who is notified.
        mention: whether the message mentions the user.
        words: one of them is in the text, as a whole word and in any case.
        title, body: templates with the names of `FIELDS` in braces.
        content: how much is said; never more than `[plugins.notifications] content` has.
        urgent: whether a sleeping device is woken at once; None where it is for conversations of two and mentions.
    """

    do: Do | list[Do] = "push"
    types: list[Named] | None = None
    kinds: list[Literal["user", "group", "self", "broadcast"]] | None = None
    groups: list[Named] | None = None
    senders: list[Named] | None = None
    users: list[Named] | None = None
    mention: bool | None = None
    words: list[Word] | None = None
    title: Template | None = None
    body: Template | None = None
    content: Content | None = None
    urgent: bool | None = None

    def __post_init__(self) -> None:
        if not self.do or ("nothing" in self.actions and len(self.actions) > 1):
            raise ValueError('do is "push", "store", ["push", "store"] or "nothing"')
        for key in ("title", "body"):
            check_template(key, getattr(self, key) or "", FIELDS)

    @property
    def actions(self) -> tuple[Do, ...]:
        """The actions of a rule, as a tuple."""
        return (self.do,) if isinstance(self.do, str) else tuple(self.do)


DEFAULTS = (
    Rule(types=["notification"]),
    Rule(kinds=["user"]),
    Rule(mention=True),
)
"""The rules after those of `relay.toml`: push notifications, messages to one user, and mentions."""


Contact = Annotated[str, Meta(pattern=r"^(mailto:[^@\s]+@[^@\s]+|https://\S+)$(?!\n)", max_length=200)]


class Email(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table `[plugins.notifications.email]`: the mail server that takes mails for users.

    Attributes:
        security: how the connection is encrypted: after STARTTLS, from its beginning, or not at all.
        password_file: a file with the password alone; so it need not stand in `relay.toml`.
        from_: the address that mails come from.
        interval_seconds: the least time between two mails about one conversation.
        timeout_seconds: how long handing over one mail may take.
    """

    host: Annotated[str, Meta(min_length=1, max_length=253)]
    from_: Annotated[str, Meta(pattern=r"^[^\s@<>,]+@[^\s@<>,]+$(?!\n)", max_length=254)] = msgspec.field(
        name="from"
    )
    port: Annotated[int, Meta(ge=1, le=65_535)] = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: str | None = None
    password: str | None = None
    password_file: str | None = None
    interval_seconds: Seconds = 900.0
    timeout_seconds: Annotated[float, Meta(ge=1, le=300)] = 30.0

    def __post_init__(self) -> None:
        if self.password is not None and self.password_file is not None:
            raise ValueError("password and password_file are both given; one is right")
        if (self.username is None) != (self.password is None and self.password_file is None):
            raise ValueError("username needs password or password_file, and the other way round")
        if not f"{self.username or ''}{self.secret() or ''}".isascii():
            raise ValueError("username and password are ASCII only; the login of SMTP takes no other letters")

    def secret(self) -> str | None:
        """Return the password.

        Raises:
            ValueError: the file cannot be read.
        """
        if self.password_file is None:
            return self.password
        try:
            return Path(self.password_file).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
            raise ValueError(f"password_file {self.password_file!r} cannot be read: {reason}") from None


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table `[plugins.notifications]`.

    Attributes:
        rules: the first that fits a message and a user decides.
        defaults: whether the built-in rules follow them.
        delay_seconds: how long a message waits for its reader before anything goes out.
        name: the name of this server in notifications that say no more, and of the sender of stored ones.
        link: the web client's address of a conversation, with {kind} and {target_id}; empty for none.
        contact: whom operators of push services write to, as mailto: or https:.
        allow_hosts: patterns of hosts that users may name.
        allow_networks: private networks that may be called all the same, as 10.0.0.0/8.
        timeout_seconds: how long one call of a target may take.
        give_up_hours: a target that failed for so long is not called any more.
        max_age_hours: older messages do not notify any more.
        sender: the user who sends stored notifications; created if there is none.
    """

    rules: list[Rule] = []
    defaults: bool = True
    content: Content = "full"
    delay_seconds: Annotated[float, Meta(ge=0, le=3600)] = 5.0
    name: Annotated[str, Meta(min_length=1, max_length=100)] = "relay"
    link: Annotated[str, Meta(max_length=500, pattern=r"^(https?://.*)?$(?!\n)")] = ""
    contact: (
        Annotated[str, Meta(pattern=r"^(mailto:[^@\s]+@[^@\s]+|https://\S+)$(?!\n)", max_length=200)] | None
    ) = None
    allow_hosts: list[Named] = msgspec.field(default_factory=lambda: ["*"])
    allow_networks: list[str] = []
    targets_per_user: Annotated[int, Meta(ge=1, le=100)] = 10
    timeout_seconds: Annotated[float, Meta(ge=0.1, le=60)] = 8.0
    give_up_hours: Hours = 24.0
    max_age_hours: Hours = 24.0
    sender: Named = "notifications"
    email: Email | None = None

    def __post_init__(self) -> None:
        check_template("link", self.link, ("kind", "target_id"))
        if cleaned(self.name) != self.name.strip():
            raise ValueError("name is a text of one line that shows something")
        for network in self.allow_networks:
            try:
                ipaddress.ip_network(network)
            except ValueError as error:
                raise ValueError(f"allow_networks: {error}; right is 10.0.0.0/8, or fd00::/8") from None

    @property
    def all_rules(self) -> tuple[Rule, ...]:
        """All rules, in their order."""
        return (*self.rules, *(DEFAULTS if self.defaults else ()))


def narrower(*levels: Content | None) -> Content:
    """Return the level among these that says least; None stands for no choice."""
    return max((level for level in levels if level is not None), key=PRIVACY.index)
