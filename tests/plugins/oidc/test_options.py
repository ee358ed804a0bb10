"""What is wrong in the settings of single sign-on leaves the plugin out, and is told with the key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from relay.engine.loader import load

RIGHT = {"issuer": "https://id.example.org/realms/one", "client_id": "relay"}


def broken(options: dict[str, Any]) -> str:
    """Return why the plugin is left out."""
    registry = load(["oidc"], [], {"oidc": options})
    return registry.broken[0].reason if registry.broken else ""


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"issuer": "id.example.org"}, "providers.one: issuer is 'id.example.org'; it begins with https://"),
        ({"issuer": "http://id.example.org"}, "only in networks that allow_networks names"),
        ({"issuer": "https://id.example.org?x=1"}, "issuer has no ? and no #"),
        ({"scopes": ["email"]}, "scopes has openid among them"),
        ({"algorithms": ["HS256"]}, "HS256"),
        ({"algorithms": ["none"]}, "none"),
        ({"roles": {"staff": "admin"}}, "groups_claim and roles go together"),
        ({"groups_claim": "groups"}, "groups_claim and roles go together"),
        ({"groups_claim": "groups", "roles": {"staff": "owner"}}, "owner"),
        ({"link": "email"}, "link"),
        ({"client_secret": "x"}, "did you mean client_secret_file?"),
        ({"title": ""}, "title"),
        ({"client_secret_file": "/nowhere/at/all"}, "[plugins.oidc.providers.one] client_secret_file: /nowhere/at/all: No such"),
    ],
)  # fmt: skip
def test_a_provider_that_cannot_be_right_is_told(wrong: dict[str, Any], told: str) -> None:
    assert told in broken({"providers": {"one": {**RIGHT, **wrong}}})


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"providers": {}}, "providers is empty: name one"),
        ({}, "needs providers"),
        ({"providers": {"One": RIGHT}}, "the name 'One' has other letters"),
        ({"providers": {"one": RIGHT}, "allow_networks": ["10.0.0.1/8"]}, "allow_networks: 10.0.0.1/8 has host bits"),
        ({"providers": {"one": RIGHT}, "leeway_seconds": 4000}, "leeway_seconds"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_all_of_them_is_told(wrong: dict[str, Any], told: str) -> None:
    assert told in broken(wrong)


def test_a_secret_has_one_line(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    provider = RIGHT | {"client_secret_file": str(secret)}
    secret.write_text("one\ntwo\n")
    assert "has one line, the client's secret" in broken({"providers": {"one": provider}})
    secret.write_text("\n")
    assert "has one line, the client's secret" in broken({"providers": {"one": provider}})
    secret.write_text("one\n")
    assert broken({"providers": {"one": provider}}) == ""


def test_plain_http_is_for_networks_that_are_named() -> None:
    plain = RIGHT | {"issuer": "http://127.0.0.1:9000"}
    assert broken({"providers": {"one": plain}, "allow_networks": ["127.0.0.0/8"]}) == ""
