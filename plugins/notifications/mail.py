"""Mails: their text, and handing them to the mail server in a thread, under a deadline."""

import re
import smtplib
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import formataddr, formatdate

import trio

from .addresses import Mail
from .content import Notification
from .options import Email, Options
from .targets import Failed, Target

AT_ONCE = 4
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
"""Characters that a mail must not have (RFC 5322 section 3.5, RFC 5321 section 4.5.2) and messages may have."""

_threads = trio.lowlevel.RunVar[trio.CapacityLimiter]("notifications_mail")


class MailSender:
    """Sends mails. They cannot be taken back, so they are sent seldom and list what is unread."""

    def __init__(self, options: Options, now: Callable[[], float]) -> None:
        self._options = options
        self._now = now

    async def show(self, target: Target, notification: Notification, remote_id: str | None) -> str | None:
        """Send one mail about a conversation."""
        options, address = self._options, target.address
        if options.email is None:
            raise Failed("this server sends no mail; its administrator sets [plugins.notifications.email]")
        assert isinstance(address, Mail)  # noqa: S101 - a sender gets targets of its own kind
        await send(options.email, digest(options, options.email, address.address, notification, self._now()))
        return None

    async def withdraw(self, target: Target, key: str, remote_id: str | None) -> None:
        """Do nothing: a mail that was sent stays where it is."""


def digest(options: Options, email: Email, to: str, notification: Notification, now: float) -> EmailMessage:
    """Return the mail that lists a conversation's unread messages."""
    lines = notification.lines
    said = [f"{_clock(line.timestamp)}  {line.sender}: {line.text}" for line in lines] or [notification.body]
    left_out = notification.unread - len(lines)
    if lines and left_out > 0:
        said.insert(0, f"{left_out} earlier ones are not shown.")
    if notification.url:
        said += ["", notification.url]
    subject = notification.title if notification.unread == 1 else f"{notification.title} ({notification.unread})"
    letter = _letter(options, email, to, subject, "\n".join(said), now)
    domain = email.from_.rpartition("@")[2]
    letter["Message-ID"] = f"<{notification.key}.{notification.newest_id}@{domain}>"
    letter["References"] = f"<{notification.key}@{domain}>"  # mail programs show a conversation's as one thread
    return letter


def confirmation(options: Options, email: Email, to: str, code: str, now: float) -> EmailMessage:
    """Return the mail with the code that confirms an address."""
    text = f"{options.name} was asked to send notifications to this address. The code that allows it is\n\n"
    text += f"    {code}\n\nIf it was not you, do nothing."
    return _letter(options, email, to, f"{code} is your code for {options.name}", text, now)


async def send(email: Email, letter: EmailMessage) -> None:
    """Hand a mail to the mail server.

    Raises:
        Failed: it did not take it in time, or not at all.
    """
    try:
        limiter = _threads.get()
    except LookupError:
        limiter = trio.CapacityLimiter(AT_ONCE)
        _threads.set(limiter)
    try:
        with trio.fail_after(email.timeout_seconds):
            await trio.to_thread.run_sync(submit, email, letter, limiter=limiter, abandon_on_cancel=True)
    except trio.TooSlowError:
        raise Failed(f"the mail server did not take it within {email.timeout_seconds:g} s") from None
    except smtplib.SMTPResponseException as refusal:
        raise Failed(f"the mail server answered {refusal.smtp_code}: {_told(refusal.smtp_error)}") from None
    except smtplib.SMTPRecipientsRefused as refusal:
        code, text = next(iter(refusal.recipients.values()))
        raise Failed(f"the mail server answered {code}: {_told(text)}") from None
    except (smtplib.SMTPException, OSError, ValueError) as error:
        raise Failed(f"the mail server cannot be used: {str(error)[:200] or type(error).__name__}") from None


def submit(email: Email, letter: EmailMessage) -> None:
    """Hand a mail over; this blocks, and is replaced in tests."""
    context = ssl.create_default_context()
    seconds = email.timeout_seconds
    if email.security == "tls":
        connection: smtplib.SMTP = smtplib.SMTP_SSL(email.host, email.port, timeout=seconds, context=context)
    else:
        connection = smtplib.SMTP(email.host, email.port, timeout=seconds)
    with connection:
        if email.security == "starttls":
            connection.starttls(context=context)
        if email.username is not None:
            connection.login(email.username, email.secret() or "")
        connection.send_message(letter)


def _letter(options: Options, email: Email, to: str, subject: str, text: str, now: float) -> EmailMessage:
    letter = EmailMessage()
    letter["From"] = formataddr((options.name, email.from_))
    letter["To"] = to
    letter["Subject"] = " ".join(_CONTROLS.sub(" ", subject).split())
    letter["Date"] = formatdate(now)
    letter["Auto-Submitted"] = "auto-generated"  # so that no absence note answers it (RFC 3834)
    letter.set_content(_CONTROLS.sub("\N{REPLACEMENT CHARACTER}", text))
    return letter


def _clock(timestamp: float) -> str:
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _told(said: bytes | str) -> str:
    return (said.decode("utf-8", "replace") if isinstance(said, bytes) else said)[:200]
