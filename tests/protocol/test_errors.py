"""The tables of codes are whole, and their ranges mean what the contract says."""

from relay.protocol.errors import (
    BUSY,
    CLOSE_REASONS,
    FINAL_CLOSE_CODES,
    HTTP_CODES,
    HTTP_STATUS,
    RETRY_STATUSES,
    RETRYABLE,
    CloseCode,
    Disconnect,
    ErrorCode,
    RelayError,
    is_final,
    said,
)
from relay.protocol.framing import MAX_REASON_BYTES


def test_every_error_code_has_an_http_status() -> None:
    assert set(HTTP_STATUS) == set(ErrorCode)


def test_every_close_code_has_a_reason_that_fits_its_frame() -> None:
    assert set(CLOSE_REASONS) == set(CloseCode)
    assert all(len(reason.encode()) <= MAX_REASON_BYTES for reason in CLOSE_REASONS.values())


def test_close_codes_are_the_contracts() -> None:
    assert {code for code in CloseCode if code >= 4000} == {
        4401, 4402, 4403, 4404, 4405, 4406, 4501, 4502, 4503, 4504, 4505, 4506, 4510,
    }  # fmt: skip


def test_a_client_stays_away_after_45xx_and_after_what_it_cannot_mend() -> None:
    final = {code for code in CloseCode if is_final(code)}
    assert {code for code in final if code >= 4000} == {code for code in CloseCode if 4500 <= code < 4600}
    assert {code for code in final if code < 4000} == FINAL_CLOSE_CODES & set(CloseCode)
    assert is_final(4599)
    assert not any(is_final(code) for code in (1000, 1001, 1006, 1009, 1011, 4000, 4499))


def test_what_is_sent_again_without_end_may_succeed_later() -> None:
    assert BUSY <= RETRYABLE


def test_a_status_is_read_as_a_code_that_it_carries() -> None:
    sure = {status: code for status, code in HTTP_CODES.items() if status not in (401, 422)}
    assert all(HTTP_STATUS[code] == status for status, code in sure.items())


def test_a_status_worth_another_try_carries_a_code_that_is_or_is_a_gateways() -> None:
    gateway = {502, 504}
    assert {HTTP_CODES[status] for status in RETRY_STATUSES - gateway} <= RETRYABLE


def test_whether_to_retry_goes_by_the_code_unless_given() -> None:
    assert {code for code in ErrorCode if RelayError(code, "no").retry} == RETRYABLE
    assert RelayError(ErrorCode.FORBIDDEN, "not yet", retry=True).retry


def test_a_disconnect_says_its_codes_own_reason_unless_given_another() -> None:
    assert Disconnect(CloseCode.REPLACED).reason == CLOSE_REASONS[CloseCode.REPLACED]
    assert Disconnect(CloseCode.DRAINING, "later").reason == "later"


def test_an_exception_that_says_nothing_is_told_by_its_cause_or_its_name() -> None:
    assert said(ValueError("words")) == "words"
    assert said(TimeoutError()) == "TimeoutError"
    silent = ConnectionError()
    silent.__cause__ = OSError("certificate verify failed")
    assert said(silent) == "certificate verify failed"
