"""One mail handed to an SMTP server, by the standard library's client on a thread, with a deadline."""

from __future__ import annotations

import smtplib
import ssl
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate, make_msgid
from pathlib import Path
from typing import Final

import trio

from relay.protocol.errors import said
from relay.services.mailer import Outcome
from relay.settings.mail import MailSettings

_STEPS: Final = 4
"""Connecting, TLS, the login, and the mail itself: how many times `timeout_seconds` all of it may take."""


class SmtpClient:
    """Hands mails to the server of `[mail]`."""

    def __init__(self, settings: MailSettings) -> None:
        self._settings = settings

    async def send(self, recipient: str, subject: str, body: str) -> Outcome:
        """Hand over one mail; return what came of it, in the server's words where it refused."""
        message = self._message(recipient, subject, body)
        seconds = self._settings.timeout_seconds * _STEPS
        try:
            with trio.fail_after(seconds):
                # Abandoned at the deadline: each of its steps has a timeout of its own, so it ends soon after.
                return await trio.to_thread.run_sync(self._send, recipient, message, abandon_on_cancel=True)
        except trio.TooSlowError:
            return Outcome(f"{self._place}: no answer within {seconds:g} s")

    @property
    def _place(self) -> str:
        return f"{self._settings.smtp_host}:{self._settings.smtp_port}"

    def _message(self, recipient: str, subject: str, body: str) -> EmailMessage:
        message = EmailMessage(policy=SMTP)
        message["From"] = self._settings.from_address
        message["To"] = recipient
        message["Subject"] = subject
        message["Date"] = formatdate()
        message["Message-ID"] = make_msgid(domain=self._settings.from_address.rpartition("@")[2])
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday note answers it
        message.set_content(body)
        return message

    def _send(self, recipient: str, message: EmailMessage) -> Outcome:
        settings = self._settings
        try:
            with self._connect() as client:
                if settings.username:
                    client.login(settings.username, self._password())
                client.send_message(message, settings.from_address, [recipient])
        except smtplib.SMTPRecipientsRefused as refused:
            code, text = next(iter(refused.recipients.values()))
            return Outcome(f"{self._place}: {code} {_text(text)}", for_good=500 <= code < 600)
        except smtplib.SMTPResponseException as refused:
            return Outcome(f"{self._place}: {refused.smtp_code} {_text(refused.smtp_error)}")
        except (OSError, smtplib.SMTPException, UnicodeError) as error:
            return Outcome(f"{self._place}: {said(error)}")
        return Outcome()

    def _connect(self) -> smtplib.SMTP:
        settings, seconds = self._settings, self._settings.timeout_seconds
        if settings.security == "tls":
            context = ssl.create_default_context()
            return smtplib.SMTP_SSL(settings.smtp_host, settings.smtp_port, timeout=seconds, context=context)
        client = smtplib.SMTP(settings.smtp_host, settings.smtp_port, timeout=seconds)
        try:
            if settings.security == "starttls":
                client.starttls(context=ssl.create_default_context())
        except BaseException:
            client.close()
            raise
        return client

    def _password(self) -> str:
        if not self._settings.password_file:
            return ""
        return Path(self._settings.password_file).read_text(encoding="utf-8").partition("\n")[0].rstrip("\r")


def _text(words: bytes | str) -> str:
    return words.decode(errors="replace") if isinstance(words, bytes) else words
