"""The section [mail]: the server that takes the mails which relay sends."""

from __future__ import annotations

import re
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from relay.settings.kinds import FilePath, Seconds

_ADDRESS = re.compile(r"[^\s@<>,;:\"()\[\]\\]+@[^\s@<>,;:\"()\[\]\\]+")


def check_mail_address(text: str) -> None:
    """Check that a text is one mail address, or empty.

    Raises:
        ValueError: the text is neither.
    """
    if text and not is_mail_address(text):
        raise ValueError("a mail address is written relay@example.org, without a name before it")


def is_mail_address(text: str) -> bool:
    """Tell whether a text has the form of one mail address, as servers take it (RFC 5321 section 4.5.3.1)."""
    local, _, domain = text.partition("@")
    return bool(_ADDRESS.fullmatch(text)) and text.isprintable() and len(local) <= 64 and len(domain) <= 189


class MailSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The server that takes the mails, and how relay speaks to it."""

    smtp_host: Annotated[
        str,
        Meta(
            max_length=255,
            description="The SMTP server that takes the mails. Empty: relay sends none, and nobody is asked for "
            "an address. Needs from_address, and `[server] public_url`, which the links in mails lead to.",
            examples=["smtp.example.org"],
        ),
    ] = ""
    smtp_port: Annotated[
        int, Meta(ge=1, le=65535, description="Its port: mostly 587 for starttls, 465 for tls, 25 for none.")
    ] = 587
    security: Annotated[
        Literal["starttls", "tls", "none"],
        Meta(
            description='"starttls": begin in the clear and go on encrypted, or not at all; "tls": encrypted from '
            'the first byte; "none": in the clear, for a server on the same machine. The certificate must be '
            "valid for smtp_host."
        ),
    ] = "starttls"
    username: Annotated[
        str, Meta(max_length=255, description="The name to log in with; empty for a server that asks for none.")
    ] = ""
    password_file: Annotated[
        FilePath,
        Meta(description="A file with the password on its first line; read anew at each connection."),
    ] = ""
    from_address: Annotated[
        str,
        Meta(
            max_length=254,
            extra={"each": check_mail_address},
            description="The address that mails come from.",
            examples=["relay@example.org"],
        ),
    ] = ""
    timeout_seconds: Annotated[
        Seconds, Meta(description="How long each step of sending may take before it is tried again later.")
    ] = 20.0
