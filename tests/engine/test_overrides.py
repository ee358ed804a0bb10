"""Tests of `[types.NAME]`: message types are changed as the configuration says, where that fits them."""

from __future__ import annotations

import logging

import pytest

from relay.engine.loader import load_plugins
from relay.engine.registry import Registry
from relay.settings import load


def registry(**types: str) -> Registry:
    return load_plugins(load(None, {f"RELAY_TYPES__{name.upper()}": value for name, value in types.items()}), {})


def test_a_stream_type_takes_a_bound_a_time_to_live_and_a_collapse_key() -> None:
    changed = registry(
        chat_message__max_bytes="50", chat_message__ttl_seconds="5", chat_message__collapse_key="content"
    )
    type_ = changed.types["chat_message"]
    assert (type_.max_bytes, type_.ttl_seconds) == (50, 5.0)
    assert type_.collapse is not None
    assert type_.collapse(type_.load('{"content":"same"}')) == "same"


@pytest.mark.parametrize(
    ("types", "told"),
    [
        ({"nothing__max_bytes": "5"}, "[types.nothing]: no plugin adds a message type of that name, so it changes nothing; there are"),
        ({"chat_mesage__max_bytes": "5"}, "so it changes nothing; did you mean chat_message?"),
        ({"status_update__ttl_seconds": "5"}, "[types.status_update] ttl_seconds is left out: it is for stream types"),
        ({"chat_message__collapse_key": "text"}, "collapse_key is left out: 'text' is not a field of its payload"),
    ],
)  # fmt: skip
def test_an_override_that_fits_no_type_is_logged_and_left_out(
    types: dict[str, str], told: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "relay"):
        changed = registry(**types)
    assert told in caplog.text
    assert changed.types["chat_message"].collapse is None
    assert changed.types["status_update"].ttl_seconds is None
