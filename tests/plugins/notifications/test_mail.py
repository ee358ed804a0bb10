"""Handing mails over: to real mail servers on loopback, of each kind of security, and to ones that fail."""

from __future__ import annotations

import socket
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.e2e.receivers import MailServer, make_certificate

pytestmark = pytest.mark.real_time


def a_letter() -> EmailMessage:
    letter = EmailMessage()
    letter["From"], letter["To"], letter["Subject"] = "relay@example.org", "bob@example.org", "Grüße"
    letter.set_content("line\n.line that begins with a dot\n")
    return letter


@pytest.mark.parametrize("security", ["starttls", "tls", "none"])
async def test_a_mail_is_handed_over(
    tmp_path: Path, plugin: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch, security: str
) -> None:
    certificate = make_certificate(tmp_path / "localhost.pem", "localhost")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with MailServer(certificate, "relay", "pass word", security) as server:
        login = {} if security == "none" else {"username": "relay", "password": "pass word"}
        email = plugin("options").Email(
            host="localhost", port=server.port, from_="relay@example.org", security=security, **login
        )
        await plugin("mail").send(email, a_letter())
        (letter,) = server.letters
        assert (letter["Subject"], letter.get_content().splitlines()) == (
            "Grüße",
            ["line", ".line that begins with a dot"],
        )
        assert server.wrong == []


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_no_password_goes_to_a_server_whose_certificate_is_anothers(
    tmp_path: Path, plugin: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch, security: str
) -> None:
    certificate = make_certificate(tmp_path / "other.pem", "mail.example")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with MailServer(certificate, "relay", "secret", security) as server:
        email = plugin("options").Email(
            host="localhost", port=server.port, from_="relay@example.org", security=security, username="relay",
            password="secret",
        )  # fmt: skip
        with pytest.raises(plugin("outward").Failed, match=r"(?i)certificate verify failed"):
            await plugin("mail").send(email, a_letter())
        assert server.letters == server.wrong == []


async def test_a_wrong_password_is_said(
    tmp_path: Path, plugin: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = make_certificate(tmp_path / "localhost.pem", "localhost")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with MailServer(certificate, "relay", "right") as server:
        email = plugin("options").Email(
            host="localhost", port=server.port, from_="relay@example.org", username="relay", password="wrong"
        )
        with pytest.raises(plugin("outward").Failed, match="the mail server answered 535"):
            await plugin("mail").send(email, a_letter())


async def test_a_mail_server_that_says_nothing_has_a_deadline(plugin: Callable[[str], Any]) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        email = plugin("options").Email(
            host="127.0.0.1", port=port, from_="relay@example.org", security="none", timeout_seconds=1
        )
        began = trio.current_time()
        with pytest.raises(plugin("outward").Failed, match="the mail server"):
            await plugin("mail").send(email, a_letter())
        assert trio.current_time() - began < 5
