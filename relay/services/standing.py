"""Standing: what a timeout, a ban or a block forbids a user, whatever their rights say.

The dispatcher asks it before it asks for rights, and the inspector asks the same, so that both say the same.
"""

from __future__ import annotations

from typing import Any, Final

from relay.protocol.errors import RelayError
from relay.protocol.kinds import ConversationKind
from relay.protocol.rights import BY_MESSAGE, IN_TIMEOUT, Act
from relay.services.blocks import Blocks
from relay.services.channels import Conversation
from relay.services.permissions import Decision, decide
from relay.services.restrictions import Restrictions
from relay.storage.accounts import Identity
from relay.storage.restrictions import SERVER, Restriction, refusal

_RULES: Final = {
    "timed_out": "timeout", "banned": "ban", "banned_here": "ban", "cannot_write": "block", "you_block": "block",
}  # fmt: skip
"""The rule behind each reason."""


class Standing:
    """Knows what users may not do for now, from what restrictions and blocks have in memory."""

    def __init__(self, restrictions: Restrictions, blocks: Blocks) -> None:
        self._restrictions = restrictions
        self._blocks = blocks

    def check(self, user_id: str, act: Act, where: Conversation) -> None:
        """Refuse what a user does in a conversation during a timeout, or to somebody of two who block each other.

        Raises:
            RelayError: `forbidden`.
        """
        if act not in IN_TIMEOUT:
            self._restrictions.check_write(user_id, where.channel_id if act in BY_MESSAGE else SERVER)
            if where.kind is ConversationKind.USER:
                self._blocks.check_direct(user_id, where.target_id(user_id))

    def decide(
        self,
        who: Identity,
        act: Act,
        where: Conversation | None = None,
        *,
        ban: Restriction | None = None,
        other: str | None = None,
        **facts: Any,
    ) -> Decision:
        """Decide with everything that is known: the account, membership, timeouts and blocks, then rights.

        Args:
            ban: the ban of the user from the group, as the database knows; for `Act.JOIN`.
            other: with whom the user begins to talk; for `Act.START_DIRECT`.
            facts: those of `permissions.decide`.
        """
        if (closed := self._closed(who)) is not None:
            return closed
        by_rights = decide(who, act, where, **facts)
        if by_rights.rule == "membership" and not by_rights.allowed:
            return by_rights
        user_id = who.user_id
        try:
            if where is not None:
                self.check(user_id, act, where)
            elif act not in IN_TIMEOUT:
                self._restrictions.check_write(user_id)
                if other is not None:
                    self._blocks.check_direct(user_id, other)
        except RelayError as refused:
            return decision_of(refused)
        if by_rights.allowed and act is Act.JOIN and ban is not None and ban.holds(self._restrictions.now()):
            return decision_of(refusal(ban))
        return by_rights

    def _closed(self, who: Identity) -> Decision | None:
        """Return the decision on all that a banned or disabled account does; None for any other."""
        banned = self._restrictions.bans.get(who.user_id)
        if banned is not None and banned.holds(self._restrictions.now()):
            return decision_of(refusal(banned))
        return Decision(False, "account", "this account is disabled") if who.disabled else None


def decision_of(refused: RelayError) -> Decision:
    """Return a refusal as a decision with its reasons."""
    details = dict(refused.details or {})
    reason = str(details.pop("reason"))
    return Decision(False, _RULES[reason], refused.message, reason, tuple(details.items()))
