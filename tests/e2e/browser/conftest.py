"""One browser for all tests; each has profiles of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.browser.bidi import FIREFOX, run_firefox
from tests.e2e.browser.cdp import CHROMIUM, SHELL, run_browser


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a browser, and give its address: it may be without notifications and PDF, and unable to load without a network."""
    if SHELL is None:
        pytest.skip("chromium is not installed (apt-get install chromium)")
    with run_browser(tmp_path_factory.mktemp("chromium"), SHELL) as address:
        yield address


@pytest.fixture(scope="session")
def whole_chromium(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a browser that has all that people's browsers have, and give its address."""
    if CHROMIUM == SHELL:
        yield request.getfixturevalue("chromium")
        return
    if CHROMIUM is None:
        pytest.skip("chromium is not installed whole (apt-get install chromium)")
    with run_browser(tmp_path_factory.mktemp("whole-chromium")) as address:
        yield address


@pytest.fixture(scope="session")
def firefox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run Firefox, and give its address."""
    if FIREFOX is None:
        pytest.skip("firefox is not installed (apt-get install firefox-esr)")
    with run_firefox(tmp_path_factory.mktemp("firefox")) as address:
        yield address
