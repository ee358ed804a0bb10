"""The pictures in the documentation: each is there, named, described, and together they are small."""

from __future__ import annotations

import re
from pathlib import Path

from tests.e2e.browser.screenshots import PICTURES

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "pictures"
MOST_BYTES = 2 << 20
PAGES = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]


def _shown() -> list[tuple[Path, str]]:
    """Return the pictures that pages show, with what they say of them."""
    found = []
    for page in PAGES:
        for text, target in re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
            found.append(((page.parent / target).resolve(), text))
    return found


def test_every_picture_that_a_page_shows_is_there_and_described() -> None:
    shown = _shown()
    assert [path.name for path, text in shown if not path.is_file() or len(text) < 20] == []
    assert shown


def test_every_picture_is_shown_and_made_by_make_screenshots() -> None:
    names = sorted(path.name for path in FOLDER.iterdir())
    assert names == sorted({path.name for path, _ in _shown()})
    assert names == sorted(f"{picture.name}.webp" for picture in PICTURES)


def test_the_pictures_together_are_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= MOST_BYTES
