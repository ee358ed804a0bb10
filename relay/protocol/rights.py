"""Acts, and the rights of groups: each right names an act and who of a group's members may do it.

Pure values, which server, clients and descriptions share; `relay.services.permissions` decides by them.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from typing import Final, NamedTuple

from relay.protocol.kinds import Role


class Act(StrEnum):
    """Something that a user does in a conversation, or on the server as a whole."""

    READ = "read"
    """Get what is said from now on, and keep marks of one's own."""

    WRITE = "write"
    """Send a message that everybody sees in the conversation."""

    THREAD = "thread"
    """Reply in a thread."""

    REACT = "react"
    """React to a message, vote in a poll, press a button, show that one types."""

    EDIT = "edit"
    """Edit a message of one's own."""

    DELETE = "delete"
    """Delete a message of one's own."""

    EDIT_OTHERS = "edit_others"
    """Edit somebody else's message: nobody may."""

    DELETE_OTHERS = "delete_others"
    """Delete somebody else's message."""

    END_OTHERS = "end_others"
    """End somebody else's poll, or the actions of their message."""

    PIN = "pin"
    """Pin a message, or take a pin back."""

    MENTION_ALL = "mention_all"
    """Mention all members with `*`."""

    COMMAND = "command"
    """Call a slash command."""

    JOIN = "join"
    """Become a member of a public group by oneself."""

    LEAVE = "leave"
    """Leave a group."""

    INVITE = "invite"
    """Add a member."""

    REMOVE_MEMBER = "remove_member"
    """Remove somebody else from a group."""

    CHANGE_ROLE = "change_role"
    """Make a member an admin of the group, or an admin a member."""

    HAND_ON = "hand_on"
    """Make another member the owner of the group."""

    EDIT_PROFILE = "edit_profile"
    """Change a group's name, picture or description."""

    PUBLISH = "publish"
    """Change whether everybody may join a group."""

    CHANGE_RIGHTS = "change_rights"
    """Change a group's rights."""

    SLOW_MODE = "slow_mode"
    """Set a group's slow mode."""

    CLOSE = "close"
    """Close a group, or open it again."""

    DELETE_GROUP = "delete_group"
    """Delete a group."""

    MAKE_GROUP = "make_group"
    """Create a group."""

    START_DIRECT = "start_direct"
    """Begin a conversation with another user."""

    SEE_DIRECTORY = "see_directory"
    """Find users by their names."""

    UPLOAD = "upload"
    """Upload a file."""

    HAVE_TOKENS = "have_tokens"
    """Have tokens for programs, besides those of logins."""

    NOTIFY = "notify"
    """Notify anybody, and write to everybody."""

    INVITE_PEOPLE = "invite_people"
    """Invite people to the server."""

    MODERATE = "moderate"
    """Moderate the server."""

    ADMINISTER = "administer"
    """Administer the server."""


DOING: Final = {
    Act.READ: "read",
    Act.WRITE: "write",
    Act.THREAD: "reply in threads",
    Act.REACT: "react",
    Act.EDIT: "edit messages of their own",
    Act.DELETE: "delete messages of their own",
    Act.EDIT_OTHERS: "edit other people's messages",
    Act.DELETE_OTHERS: "delete other people's messages",
    Act.END_OTHERS: "end other people's polls and actions",
    Act.PIN: "pin messages",
    Act.MENTION_ALL: "mention everybody",
    Act.COMMAND: "call commands",
    Act.JOIN: "join",
    Act.LEAVE: "leave",
    Act.INVITE: "add members",
    Act.REMOVE_MEMBER: "remove members",
    Act.CHANGE_ROLE: "change members' roles",
    Act.HAND_ON: "make another member the owner",
    Act.EDIT_PROFILE: "change its name, picture or description",
    Act.PUBLISH: "change whether everybody may join",
    Act.CHANGE_RIGHTS: "change its rights",
    Act.SLOW_MODE: "set its slow mode",
    Act.CLOSE: "close or open it",
    Act.DELETE_GROUP: "delete it",
    Act.MAKE_GROUP: "create groups",
    Act.START_DIRECT: "begin conversations with others",
    Act.SEE_DIRECTORY: "find users by their names",
    Act.UPLOAD: "upload files",
    Act.HAVE_TOKENS: "have tokens for programs",
    Act.NOTIFY: "notify anybody",
    Act.INVITE_PEOPLE: "invite people to the server",
    Act.MODERATE: "moderate the server",
    Act.ADMINISTER: "administer the server",
}
"""Each act as a part of a sentence: `only admins …`."""

ON_SERVER: Final = frozenset(
    {
        Act.MAKE_GROUP, Act.START_DIRECT, Act.SEE_DIRECTORY, Act.UPLOAD, Act.HAVE_TOKENS, Act.NOTIFY,
        Act.INVITE_PEOPLE, Act.MODERATE, Act.ADMINISTER,
    }
)  # fmt: skip
"""Acts on the server as a whole; all others are acts in a conversation."""


class Holder(StrEnum):
    """The members of a group who have a right."""

    EVERYBODY = "everybody"
    ADMINS = "admins"
    """The admins and the owner."""

    OWNER = "owner"


class Rights(NamedTuple):
    """The rights that a group gives: for each, who has it. The defaults are those of an ordinary group."""

    write: Holder = Holder.EVERYBODY
    thread: Holder = Holder.EVERYBODY
    invite: Holder = Holder.ADMINS
    pin: Holder = Holder.ADMINS
    delete_others: Holder = Holder.ADMINS
    mention_all: Holder = Holder.EVERYBODY
    edit_profile: Holder = Holder.ADMINS

    def with_set(self, chosen: Mapping[str, str]) -> Rights:
        """Return these rights with some chosen otherwise; names that are no right are ignored."""
        known = {name: Holder(holder) for name, holder in chosen.items() if name in Rights._fields}
        return self._replace(**known) if known else self


ORDINARY: Final = Rights()
"""An ordinary group: all members write."""

ANNOUNCEMENT: Final = Rights(write=Holder.ADMINS, mention_all=Holder.ADMINS)
"""An announcement group: its admins write, its members read, react and reply in threads."""

PRESETS: Final = {"ordinary": ORDINARY, "announcement": ANNOUNCEMENT}
"""The rights that people choose by one word."""

BY_RIGHT: Final[Mapping[Act, str]] = {
    Act.WRITE: "write",
    Act.COMMAND: "write",
    Act.THREAD: "thread",
    Act.INVITE: "invite",
    Act.PIN: "pin",
    Act.DELETE_OTHERS: "delete_others",
    Act.MENTION_ALL: "mention_all",
    Act.EDIT_PROFILE: "edit_profile",
}
"""The right that an act in a group takes."""

BY_CHOICE: Final = frozenset(BY_RIGHT) - {Act.WRITE, Act.COMMAND, Act.THREAD}
"""Acts by a right that ordinary groups do not give to everybody as a matter of course."""

BY_ROLE: Final[Mapping[Act, Holder]] = {
    Act.READ: Holder.EVERYBODY,
    Act.REACT: Holder.EVERYBODY,
    Act.EDIT: Holder.EVERYBODY,
    Act.DELETE: Holder.EVERYBODY,
    Act.LEAVE: Holder.EVERYBODY,
    Act.END_OTHERS: Holder.ADMINS,
    Act.REMOVE_MEMBER: Holder.ADMINS,
    Act.CHANGE_ROLE: Holder.ADMINS,
    Act.SLOW_MODE: Holder.ADMINS,
    Act.HAND_ON: Holder.OWNER,
    Act.PUBLISH: Holder.OWNER,
    Act.CHANGE_RIGHTS: Holder.OWNER,
    Act.CLOSE: Holder.OWNER,
    Act.DELETE_GROUP: Holder.OWNER,
}
"""Who may do the other acts in a group, whatever its rights."""

IN_CLOSED: Final = frozenset(
    {
        Act.READ, Act.DELETE, Act.DELETE_OTHERS, Act.LEAVE, Act.REMOVE_MEMBER, Act.CHANGE_ROLE, Act.HAND_ON,
        Act.CLOSE, Act.DELETE_GROUP,
    }
)  # fmt: skip
"""What stays possible in a closed group: to read, to tidy up, and to open it again."""

BY_MESSAGE: Final = frozenset(
    {
        Act.WRITE, Act.THREAD, Act.REACT, Act.EDIT, Act.DELETE, Act.EDIT_OTHERS, Act.DELETE_OTHERS, Act.END_OTHERS,
        Act.PIN, Act.MENTION_ALL, Act.COMMAND,
    }
)  # fmt: skip
"""Acts that are messages to a conversation: a timeout there forbids them, and one on the server others as well."""

IN_TIMEOUT: Final = frozenset(
    {
        Act.READ, Act.LEAVE, Act.SEE_DIRECTORY, Act.HAVE_TOKENS, Act.INVITE_PEOPLE, Act.MODERATE, Act.ADMINISTER,
    }
)  # fmt: skip
"""Acts that no timeout forbids."""

SLOWED: Final = frozenset({Act.WRITE, Act.THREAD})
"""Acts that slow mode lets a plain member of a group do once in so many seconds."""

BETWEEN_TWO: Final = frozenset(
    {Act.READ, Act.WRITE, Act.THREAD, Act.REACT, Act.EDIT, Act.DELETE, Act.PIN, Act.COMMAND}
)
"""What both may do in a conversation of two."""

_HOLDERS: Final = {
    Holder.EVERYBODY: frozenset(Role),
    Holder.ADMINS: frozenset({Role.OWNER, Role.ADMIN}),
    Holder.OWNER: frozenset({Role.OWNER}),
}


def holder_of(act: Act, rights: Rights) -> Holder | None:
    """Return who of a group's members may do something; None where nobody may by being a member."""
    right = BY_RIGHT.get(act)
    return BY_ROLE.get(act) if right is None else getattr(rights, right)


def includes(holder: Holder, role: Role) -> bool:
    """Return whether those who have a right include a role."""
    return role in _HOLDERS[holder]


@lru_cache(maxsize=1024)
def acts_of(role: Role, rights: Rights, *, closed: bool = False) -> frozenset[Act]:
    """Return everything that a member with a role may do in a group."""
    held = ((act, holder_of(act, rights)) for act in Act)
    return frozenset(
        act
        for act, holder in held
        if holder is not None
        and includes(holder, role)
        and (act in IN_CLOSED or not closed)
        and not (act is Act.LEAVE and role is Role.OWNER)
    )


def may(role: Role, rights: Rights, *, closed: bool = False) -> list[str]:
    """Return what `acts_of` returns as clients are told it: in the order of the acts."""
    allowed = acts_of(role, rights, closed=closed)
    return [act.value for act in Act if act in allowed]


def is_restricted(rights: Rights, *, closed: bool) -> bool:
    """Return whether there is an everyday act in a group that not every member may do."""
    everyday = (rights.write, rights.thread)
    return closed or any(holder is not Holder.EVERYBODY for holder in everyday)
