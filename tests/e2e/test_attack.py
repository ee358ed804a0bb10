"""Some of `make attack`: hostile connections, while two people talk."""

import pytest

from tests.attack.siege import KINDS, siege

pytestmark = pytest.mark.e2e


def test_hostile_connections_of_every_kind_do_the_server_and_others_no_harm() -> None:
    with siege() as made:
        made.attack(first=1, count=60, quiet=2)
        assert made.sent.keys() == set(KINDS)
        assert any(made.waits[kind] for kind in KINDS), "nobody talked meanwhile"
        assert {400, 401} <= made.statuses.keys()  # what was sent was read and judged
