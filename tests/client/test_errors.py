"""The exceptions of the client."""

from __future__ import annotations

import pytest

from relay.client import RelayError, RelayOffline
from relay.protocol import errors as protocol
from relay.protocol.errors import ErrorCode


def test_a_refusal_is_the_protocols_own_exception_with_its_code_in_the_text() -> None:
    error = RelayError.from_payload({"code": "not_found", "message": "no user 'zoe'", "retry": False})
    assert isinstance(error, protocol.RelayError)
    assert error.code == ErrorCode.NOT_FOUND
    assert str(error) == "not_found: no user 'zoe'"


@pytest.mark.parametrize("retry", [True, False])
def test_the_servers_word_on_retry_counts_and_not_the_clients_table(retry: bool) -> None:
    assert RelayError.from_payload({"code": "rate_limited", "retry": retry}).retry is retry


def test_a_code_of_a_newer_server_stays_as_it_is() -> None:
    error = RelayError.from_payload({"code": "on_holiday", "message": "back on Monday", "retry_after": 3})
    assert (error.code, error.retry_after) == ("on_holiday", 3.0)


def test_a_problem_document_without_a_message_is_told_by_its_detail_or_title() -> None:
    assert RelayError.from_payload({"detail": "too many", "title": "Slow down"}).message == "too many"
    assert str(RelayError.from_payload({"title": "Slow down"})) == "internal: Slow down"
    assert str(RelayError.from_payload({})) == "internal: refused"


def test_being_offline_is_worth_another_try() -> None:
    error = RelayOffline("nobody there")
    assert (error.code, error.retry, str(error)) == ("offline", True, "offline: nobody there")
