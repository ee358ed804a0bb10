"""The quick part of `make conformance`: relay's WebSocket transport against RFC 6455."""

import pytest

from tests.conformance.cases import Verdict
from tests.conformance.groups import GROUPS, cases
from tests.conformance.running import Outcome, echo_server, play_all

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def outcomes() -> list[Outcome]:
    with echo_server() as address:
        return play_all(cases(slow=False), address)


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: GROUPS[group])
def test_every_case_of_a_group_ends_as_the_rfc_wants(outcomes: list[Outcome], group: int) -> None:
    members = [one for one in outcomes if one.case.group == group]
    assert members
    wrong = [
        f"{one.case.number} {one.case.title}: {one.reason}" for one in members if one.verdict is not Verdict.OK
    ]
    assert not wrong, "\n".join(wrong)
