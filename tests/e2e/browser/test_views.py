"""All views of the page on a desktop, light and in English: what is wrong to see, hear or read; and those of moderators."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.browser import views
from tests.e2e.browser.people import open_place
from tests.e2e.browser.team import open_team
from tests.e2e.browser.touring import DESKTOP, FRENCH_PHONE, tour, tour_everything

pytestmark = [pytest.mark.e2e, pytest.mark.long]


async def test_what_moderators_see_can_be_seen_heard_and_read(chromium: str, tmp_path: Path) -> None:
    async with open_place(chromium, tmp_path, "bob", "mallory") as place:
        place.server.relay("user", "add", "mona", "--role", "moderator")
        place.tokens["mona"] = place.server.relay("token", "create", "mona").strip()
        place.say("mallory", "bob", "you fool")
        said = place.history("bob", "mallory")[0]["meta"]["message_id"]
        with place.server.rest(place.tokens["bob"]) as rest:
            body = {"reason": "abuse", "text": "he does this all the time"}
            assert rest.post(f"/api/messages/{said}/report", json=body).is_success
        mona = await place.signed_in("mona")
        await mona.wait("document.querySelector('.conversations .line')")
        found = []
        for look, rules in (DESKTOP, FRENCH_PHONE):
            found += await tour(mona, views.MODERATOR, look, "", rules)
        assert found == [], "\n".join(found)


async def test_all_views_can_be_seen_heard_and_read_by_everybody(chromium: str, tmp_path: Path) -> None:
    async with open_team(chromium, tmp_path) as place:
        found = await tour_everything(place, DESKTOP)
        assert found == [], "\n".join(found)
