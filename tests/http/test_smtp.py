"""Mails handed to a real SMTP server: encrypted or not, with a login, and what is said where it refuses."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from relay.http.smtp import SmtpClient
from relay.settings.mail import MailSettings
from tests.smtp import certificate, postbox, text_of

pytestmark = pytest.mark.real_time


def settings(port: int, **more: object) -> MailSettings:
    given = {"smtp_host": "127.0.0.1", "smtp_port": port, "from_address": "relay@example.org", "security": "none"}
    return MailSettings(**given | more)  # type: ignore[arg-type]


async def test_a_mail_arrives_as_it_was_written() -> None:
    with postbox() as box:
        outcome = await SmtpClient(settings(box.port)).send("e@example.org", "Où ça ?", "Là-bas…\n")
        assert outcome.error == ""
        (mail,) = box.mails
        assert (mail["From"], mail["To"], mail["Subject"]) == ("relay@example.org", "e@example.org", "Où ça ?")
        assert text_of(mail) == "Là-bas…\n"
        assert mail["Auto-Submitted"] == "auto-generated"
        assert mail["Message-ID"].endswith("@example.org>")
        assert box.recipients == ["e@example.org"]


@pytest.mark.filterwarnings("ignore:Requiring AUTH")  # the server does not know that TLS came first
@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_mail_goes_encrypted_with_a_login(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, security: str
) -> None:
    trusted = certificate(tmp_path)
    (tmp_path / "password").write_text("correct horse\nsecond line\n")
    with postbox(tls=tmp_path, implicit=security == "tls", login=("relay", "correct horse")) as box:
        more = {"security": security, "username": "relay", "password_file": str(tmp_path / "password")}
        client = SmtpClient(settings(box.port, **more))
        assert "certificate" in (await client.send("a@example.org", "S", "B")).error.lower()
        monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
        assert (await client.send("a@example.org", "S", "B")).error == ""
        assert len(box.mails) == 1
        (tmp_path / "password").write_text("wrong")
        refused = await client.send("a@example.org", "S", "B")
        assert "535" in refused.error
        assert not refused.for_good


async def test_a_server_without_starttls_gets_nothing_in_the_clear() -> None:
    with postbox() as box:
        outcome = await SmtpClient(settings(box.port, security="starttls")).send("a@example.org", "S", "B")
        assert "STARTTLS" in outcome.error
        assert box.mails == []


async def test_what_the_server_says_is_told_and_whether_it_is_for_good() -> None:
    with postbox() as box:
        client = SmtpClient(settings(box.port))
        box.refusals = ["451 come back later", "550 nobody of that name"]
        later, never = [await client.send("a@example.org", "S", "B") for _ in range(2)]
        assert (later.error, later.for_good) == (f"127.0.0.1:{box.port}: 451 come back later", False)
        assert (never.error, never.for_good) == (f"127.0.0.1:{box.port}: 550 nobody of that name", True)


async def test_a_server_that_is_silent_or_not_there_is_waited_for_a_bounded_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        outcome = await SmtpClient(settings(port, timeout_seconds=0.2)).send("a@example.org", "S", "B")
        assert "timed out" in outcome.error
    outcome = await SmtpClient(settings(port, timeout_seconds=0.2)).send("a@example.org", "S", "B")
    assert "refused" in outcome.error
