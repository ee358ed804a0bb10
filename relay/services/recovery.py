"""Recovery: a new password by a link, and the mail address that such a link is sent to.

Whoever asks for a link learns nothing of who has an account: the answer is the same and comes at once, and a task
does the work after it.
"""

from __future__ import annotations

import logging
import sqlite3
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

import trio

from relay.protocol.errors import ErrorCode, RelayError, not_found
from relay.services.accounts import Accounts
from relay.services.acts import Act
from relay.services.audit import About, Actor, AuditLog
from relay.services.limits import TokenBuckets
from relay.services.logins import Logins
from relay.services.mail_texts import Language, What, text_of
from relay.services.mailer import Mailer
from relay.services.server_roles import check_manages
from relay.settings.mail import is_mail_address
from relay.storage import account_links, accounts, invites, leaving, mails
from relay.storage.account_links import MailAddress
from relay.storage.errors import StorageFailed
from relay.storage.jobs import Runner
from relay.storage.names import same_name
from relay.wakeup import Wakeup

_log: Final = logging.getLogger("relay.accounts")
HOUR: Final = 3600.0
DAY: Final = 86_400.0
_MOST_ASKED: Final = 1000
_RETRY_SECONDS: Final = 5.0


class Asked(NamedTuple):
    """Something that was asked for without an account: a new password (by a user id or an address), or to join."""

    what: What
    typed: str
    language: Language


class Recipient(NamedTuple):
    """A person who gets a mail; `user_id` is None for somebody without an account."""

    user_id: str | None
    address: str


class MyAddress(NamedTuple):
    """A user's verified address, and one that has still to be verified; None for none."""

    verified: MailAddress | None
    pending: str | None


class Recovery:
    """Sends and takes links for new passwords, addresses and new accounts.

    Args:
        now: Unix seconds.
        page: the address of the page, without a slash at its end.
        domains: whose addresses may have an account without an invitation; empty for none.
        links: the budget of links of each account and of each address.
    """

    def __init__(
        self,
        runner: Runner,
        accounts: Accounts,
        logins: Logins,
        mailer: Mailer,
        audit: AuditLog,
        now: Callable[[], float],
        *,
        page: str,
        domains: frozenset[str],
        links: TokenBuckets,
    ) -> None:
        self._runner = runner
        self._accounts = accounts
        self._logins = logins
        self._mailer = mailer
        self._audit = audit
        self._now = now
        self._page = page
        self.domains = domains
        self._links = links
        self._asked: deque[Asked] = deque(maxlen=_MOST_ASKED)
        self._wakeup = Wakeup()

    def ask_for_reset(self, typed: str, language: Language) -> None:
        """Ask for a link that sets a new password, by a user id or a verified address.

        Raises:
            RelayError: `conflict` where the server sends no mail.
        """
        self._require_mail()
        self._note(Asked("reset", typed, language))

    def ask_to_join(self, address: str, language: Language) -> None:
        """Ask for a link that makes an account, by an address of one of the server's domains.

        Raises:
            RelayError: `forbidden` for another domain, `invalid_payload` for what is no address.
        """
        check_mail_address(address)
        if address.rpartition("@")[2].lower() not in self.domains:
            text = "an address of this domain is not enough for an account here; ask for an invitation"
            details = {"reason": "mail_domain", "field": "address", "domains": sorted(self.domains)}
            raise RelayError(ErrorCode.FORBIDDEN, text, details=details)
        self._note(Asked("join", address, language))

    def _note(self, asked: Asked) -> None:
        self._asked.append(asked)
        self._wakeup.set()

    async def run(self) -> None:
        """Send what was asked for, for ever."""
        while True:
            while self._asked:
                asked = self._asked.popleft()
                try:
                    await self._answer(asked)
                except StorageFailed:
                    self._asked.appendleft(asked)
                    await trio.sleep(_RETRY_SECONDS)
            await self._wakeup.wait()

    async def _answer(self, asked: Asked) -> None:
        """Store the mail that answers what was asked for; nothing for a stranger, and a few for one account."""
        found = await self._runner.read(partial(_whose, asked=asked), inline=True)
        if found is None or self._links.wait_for(found.user_id or found.address.lower()):
            return
        store = self._store_join if asked.what == "join" else self._store_reset
        await self._runner.write(partial(store, found=found, language=asked.language))
        self._mailer.wake()

    def _store_reset(self, connection: sqlite3.Connection, found: Recipient, language: Language) -> None:
        now, user_id = self._now(), found.user_id or ""
        code = account_links.create_link(connection, user_id, "reset", now, now + HOUR)
        self._mail(connection, "reset", found.address, language, HOUR, user_id, f"#reset={code}")
        _log.info("%s asked for a new password by mail", user_id)

    def _store_join(self, connection: sqlite3.Connection, found: Recipient, language: Language) -> None:
        now, address = self._now(), found.address
        if found.user_id is not None:
            self._mail(connection, "known", address, language, DAY, found.user_id)
            return
        code = invites.create_invite(
            connection, now, created_by=None, expires_at=now + DAY, label=address[:100], mail=address
        )
        self._mail(connection, "join", address, language, DAY, None, f"#invite={code}")

    async def make_reset_link(self, actor: Actor, user_id: str) -> tuple[str, float]:
        """Return the code of a link that sets a new password, and when it expires, for an admin to hand over.

        Raises:
            RelayError: `not_found`; `forbidden` as `check_manages`; `conflict` for an account of the sample data.
        """
        now = self._now()

        def make(connection: sqlite3.Connection) -> str:
            user = accounts.get_user(connection, user_id)
            if user is None or leaving.is_over(connection, user_id):
                raise not_found(f"user {user_id!r}")
            check_manages(actor.rights, user.role)
            self._audit.write(connection, actor, Act.USER_RESET_LINK, About("user", user_id))
            return account_links.create_link(connection, user_id, "reset", now, now + DAY)

        return await self._runner.write(make), now + DAY

    async def reset(self, code: str, password: str, language: Language) -> str:
        """Set a new password by a link's code, end all sessions of its user, and return who that is.

        Raises:
            RelayError: `forbidden` for a link that is wrong, used or expired; `invalid_payload` for a password
                that is too short or too long, `overloaded`.
        """
        self._logins.check_password(password)
        found = await self._runner.read(
            lambda connection: account_links.find_link(connection, code, "reset", self._now()), inline=True
        )
        hashed = await self._logins.hash_password(password)

        def change(connection: sqlite3.Connection) -> tuple[str, list[str]]:
            user_id = account_links.find_link(connection, code, "reset", self._now()).user_id
            account_links.forget(connection, user_id, "reset")
            accounts.update_user(connection, user_id, password_hash=hashed)
            address = account_links.address_of(connection, user_id)
            if address is not None:
                self._mail(connection, "password", address.address, language, DAY, user_id)
            return user_id, accounts.revoke_logins(connection, user_id, "")

        user_id, ended = await self._runner.write(change)
        self._accounts.end_tokens(ended)
        self._mailer.wake()
        _log.warning("%s set a new password by a link; %d sessions were ended", found.user_id, len(ended))
        return user_id

    async def address(self, user_id: str) -> MyAddress:
        """Return a user's address, and the one that they have still to verify."""
        now = self._now()
        return await self._runner.read(
            lambda connection: MyAddress(
                account_links.address_of(connection, user_id),
                account_links.pending_address(connection, user_id, now),
            )
        )

    async def change_address(self, user_id: str, address: str | None, language: Language) -> None:
        """Send a link to a user's new address, which counts once it is opened; None removes the present one.

        Raises:
            RelayError: `conflict` where the server sends no mail; `invalid_payload` for what is no address;
                `rate_limited`.
        """
        now = self._now()
        if address is not None:
            self._require_mail()
            check_mail_address(address)
            self._links.take(f"{user_id} (address)")

        def change(connection: sqlite3.Connection) -> None:
            if address is None:
                self._tell_of_change(connection, user_id, language)
                account_links.remove_address(connection, user_id)
                return
            account_links.forget(connection, user_id, "mail")
            code = account_links.create_link(connection, user_id, "mail", now, now + DAY, address)
            self._mail(connection, "verify", address, language, DAY, user_id, f"#mail={code}")

        await self._runner.write(change)
        self._mailer.wake()

    async def verify(self, code: str, language: Language) -> MailAddress:
        """Give a user the address that a link was sent to; return it.

        Raises:
            RelayError: `forbidden` for a link that is wrong, used or expired; `conflict` if another account has
                the address.
        """
        now = self._now()

        def verify(connection: sqlite3.Connection) -> MailAddress:
            found = account_links.find_link(connection, code, "mail", now)
            address = found.address or ""
            before = account_links.address_of(connection, found.user_id)
            if before is not None and before.address != address:
                self._tell_of_change(connection, found.user_id, language)
            account_links.set_address(connection, found.user_id, address, now)
            account_links.forget(connection, found.user_id, "mail")
            return MailAddress(found.user_id, address, now)

        made = await self._runner.write(verify)
        self._mailer.wake()
        return made

    def _tell_of_change(self, connection: sqlite3.Connection, user_id: str, language: Language) -> None:
        """Tell the address that a user has until now that it is theirs no more."""
        before = account_links.address_of(connection, user_id)
        if before is not None:
            self._mail(connection, "changed", before.address, language, DAY, user_id)

    def _mail(
        self,
        connection: sqlite3.Connection,
        what: What,
        recipient: str,
        language: Language,
        seconds: float,
        user_id: str | None,
        fragment: str = "",
    ) -> None:
        if not self._mailer.is_set_up:
            return
        now = self._now()
        text = text_of(what, language, self._page, name=user_id or "", link=f"{self._page}/{fragment}")
        mails.put(connection, recipient, text.subject, text.body, now, now + seconds, user_id)

    def _require_mail(self) -> None:
        if not self._mailer.is_set_up:
            text = "this server sends no mail ([mail] smtp_host is empty); ask its admin"
            raise RelayError(ErrorCode.CONFLICT, text, details={"reason": "no_mail"})


def _whose(connection: sqlite3.Connection, asked: Asked) -> Recipient | None:
    """Return who is to get a mail; None for a stranger, or an account that no link may open."""
    typed = asked.typed.strip()
    owner = account_links.owner_of(connection, typed)
    if asked.what == "join":
        return Recipient(owner, typed)
    user_id = owner or same_name(connection, typed)
    found, user = account_links.address_of(connection, user_id), accounts.get_user(connection, user_id)
    if found is None or user is None or user.disabled:
        return None
    if accounts.password_hash(connection, user_id) is None:
        return None  # they sign in elsewhere, and a mailbox must not become another way in
    return Recipient(user_id, found.address)


def check_mail_address(address: str) -> None:
    """Refuse what cannot be a mail address.

    Raises:
        RelayError: `invalid_payload`.
    """
    if not is_mail_address(address):
        raise RelayError(
            ErrorCode.INVALID_PAYLOAD,
            "a mail address is written name@example.org",
            details={"reason": "mail_form", "field": "address"},
        )
