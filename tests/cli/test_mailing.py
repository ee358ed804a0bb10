"""`relay mail`, and the links that an operator makes."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Run
from tests.smtp import postbox


def test_a_test_mail_is_sent_at_once_or_the_reason_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "smtp_host is empty" in run("mail", "test", "a@example.org", ok=False).stderr
    with postbox() as box:
        monkeypatch.setenv("RELAY_MAIL__SMTP_HOST", "127.0.0.1")
        monkeypatch.setenv("RELAY_MAIL__SMTP_PORT", str(box.port))
        monkeypatch.setenv("RELAY_MAIL__SECURITY", "none")
        assert "needs from_address as well" in run("mail", "test", "a@example.org", ok=False).stderr
        monkeypatch.setenv("RELAY_MAIL__FROM_ADDRESS", "relay@example.org")
        assert "needs [server] public_url as well" in run("mail", "test", "a@example.org", ok=False).stderr
        monkeypatch.setenv("RELAY_SERVER__PUBLIC_URL", "https://chat.example.org")
        assert "name@example.org" in run("mail", "test", "nothing", ok=False).stderr
        assert run("mail", "test", "a@example.org").stdout == "mail to a@example.org: taken by the server\n"
        assert [mail["To"] for mail in box.mails] == ["a@example.org"]
        box.refusals = ["550 nobody of that name"]
        assert "550 nobody of that name" in run("mail", "test", "a@example.org", ok=False).stderr


def test_registration_by_domain_needs_domains_and_mail(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELAY_ACCOUNTS__REGISTRATION", "domain")
    problems = run("config", "check", ok=False).output
    assert '"domain" needs mail_domains as well' in problems
    assert '"domain" needs [mail] smtp_host as well' in problems
    monkeypatch.setenv("RELAY_ACCOUNTS__MAIL_DOMAINS", "Example.org")
    assert "in lower case" in run("config", "check", ok=False).output


def test_an_operator_makes_a_link_for_a_new_password_and_removes_a_second_factor(anywhere: Run) -> None:
    anywhere("user", "add", "bob")
    made = anywhere("user", "reset-link", "BOB", "--qr")
    assert made.stdout.startswith("http://127.0.0.1:8484/#reset=")
    assert made.stdout.count("\n") == 1
    assert "'nobody'" in anywhere("user", "reset-link", "nobody", ok=False).stderr
    assert "second factor of 'bob'" in anywhere("user", "reset-second-factor", "bob", ok=False).stderr
