"""The quick part of `make conformance`: relay's WebSocket transport against RFC 6455."""

import subprocess
import sys

import httpx
import pytest

from tests.conformance.cases import Verdict
from tests.conformance.groups import GROUPS, cases
from tests.conformance.running import Outcome, echo_server, play_all
from tests.e2e.server import ROOT, environment

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


def test_the_echo_server_says_what_it_does_not_do() -> None:
    with echo_server() as (host, port):
        answer = httpx.get(f"http://{host}:{port}/healthz", timeout=10, trust_env=False)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        command = [sys.executable, "-m", "relay.testing.echo", "--port", str(port)]
        second = subprocess.run(
            command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=60, check=False
        )
    assert second.returncode == 1
    assert second.stderr.startswith(f"echo: cannot listen on 127.0.0.1:{port}: "), second.stderr
