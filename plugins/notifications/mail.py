"""Mails: what they say, and handing them to the mail server, in a thread, under a deadline."""

import re
import smtplib
import ssl
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import formataddr, formatdate

import trio

from .notices import Notice
from .options import Email, Options
from .outward import Failed

AT_ONCE = 4
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
"""What a mail must not have (RFC 5322 section 3.5; RFC 5321 section 4.5.2 of NUL), and people may send."""

_threads = trio.lowlevel.RunVar[trio.CapacityLimiter]("notifications_mail")


def digest(options: Options, email: Email, to: str, notice: Notice, now: float) -> EmailMessage:
    """Return the mail that tells of a conversation's unread messages."""
    said = [f"{_clock(line.timestamp)}  {line.sender}: {line.text}" for line in notice.lines] or [notice.body]
    left_out = notice.unread - len(notice.lines)
    if notice.lines and left_out > 0:
        said.insert(0, f"{left_out} earlier ones are not shown.")
    if notice.url:
        said += ["", notice.url]
    subject = notice.title if notice.unread == 1 else f"{notice.title} ({notice.unread})"
    letter = _letter(options, email, to, subject, "\n".join(said), now)
    domain = email.from_.rpartition("@")[2]
    letter["Message-ID"] = f"<{notice.key}.{notice.newest_id}@{domain}>"
    letter["References"] = f"<{notice.key}@{domain}>"  # mail programs show a conversation's as one thread
    return letter


def confirmation(options: Options, email: Email, to: str, code: str, now: float) -> EmailMessage:
    """Return the mail that shows who reads an address."""
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
    """Speak with the mail server; tests put another in this function's place."""
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
