"""Some of `make attack`: hostile connections, and a user who spends all they may, while two people talk."""

import pytest

from tests.attack.siege import KINDS, siege
from tests.attack.spending import SHARED, spending

pytestmark = pytest.mark.e2e

PATIENT_MS = 15_000
"""The longest p99 of others on a machine that does much else; `make attack ARGS="--p99 50"` holds them to less."""


def test_hostile_connections_of_every_kind_do_the_server_and_others_no_harm() -> None:
    with siege() as made:
        made.attack(first=1, count=60, quiet=2)
        assert made.sent.keys() == set(KINDS)
        assert any(made.bystanders.waits[kind] for kind in KINDS), "nobody talked meanwhile"
        assert {400, 401} <= made.statuses.keys()  # what was sent was read and judged


def test_what_a_user_spends_of_the_processor_is_bounded_and_others_talk_on() -> None:
    with spending() as made:
        made.spend(seconds=1, quiet=2)
        for kind, answers in made.answers.items():
            assert made.bystanders.waits[kind], f"nobody talked while there were {kind}"
            assert made.bystanders.wait_of(kind, 0.99) < PATIENT_MS, kind
            assert answers[429] or kind in SHARED, (kind, answers)
            assert answers.keys() - {429}, (kind, "was never answered")
