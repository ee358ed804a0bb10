"""The Electron application is shown as it is: the page's blocks are its files. tests/js/electron runs it."""

from pathlib import Path

import pytest

from tests.docs.conversation import blocks

DOCS = Path(__file__).parents[2] / "docs" / "sdk"
FILES = sorted((DOCS / "electron").iterdir())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_page_shows_the_file_as_it_is(path: Path) -> None:
    page = (DOCS / "electron.md").read_text(encoding="utf-8")
    assert f"`{path.name}`" in page
    assert path.read_text(encoding="utf-8").strip() in [block.text.strip() for block in blocks(page)]
