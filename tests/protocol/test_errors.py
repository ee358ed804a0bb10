"""The tables of codes are whole, and their ranges mean what the contract says."""

from relay.protocol.errors import CLOSE_REASONS, HTTP_STATUS, CloseCode, Disconnect, ErrorCode, said
from relay.protocol.framing import MAX_REASON_BYTES


def test_every_error_code_has_an_http_status() -> None:
    assert set(HTTP_STATUS) == set(ErrorCode)


def test_every_close_code_has_a_reason_that_fits_its_frame() -> None:
    assert set(CLOSE_REASONS) == set(CloseCode)
    assert all(len(reason.encode()) <= MAX_REASON_BYTES for reason in CLOSE_REASONS.values())


def test_close_codes_are_the_contracts() -> None:
    assert {code for code in CloseCode if code >= 4000} == {
        4401, 4402, 4403, 4404, 4405, 4501, 4502, 4503, 4504, 4505, 4506, 4510,
    }  # fmt: skip


def test_a_disconnect_says_its_codes_own_reason_unless_given_another() -> None:
    assert Disconnect(CloseCode.REPLACED).reason == CLOSE_REASONS[CloseCode.REPLACED]
    assert Disconnect(CloseCode.DRAINING, "later").reason == "later"


def test_an_exception_that_says_nothing_is_told_by_its_cause_or_its_name() -> None:
    assert said(ValueError("words")) == "words"
    assert said(TimeoutError()) == "TimeoutError"
    silent = ConnectionError()
    silent.__cause__ = OSError("certificate verify failed")
    assert said(silent) == "certificate verify failed"
