"""All views of the page on a phone, and the main ones on a desktop, dark and in French: what is wrong to see, hear or read."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.browser.team import open_team
from tests.e2e.browser.touring import FRENCH_DESKTOP, FRENCH_PHONE, tour_everything

pytestmark = [pytest.mark.e2e, pytest.mark.long]


async def test_all_views_can_be_seen_heard_and_read_in_french_and_in_the_dark(
    chromium: str, tmp_path: Path
) -> None:
    async with open_team(chromium, tmp_path) as place:
        found = await tour_everything(place, FRENCH_PHONE, FRENCH_DESKTOP)
        assert found == [], "\n".join(found)
