"""docs/operate/moving.md names each kind of thing that does not fit, as the command does."""

import re
from pathlib import Path

from relay.app.converting.report import WORDS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operate" / "moving.md").read_text(encoding="utf-8")


def test_the_page_has_the_kinds_of_the_report() -> None:
    assert dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", PAGE, re.M)) == WORDS


def test_each_kind_that_is_noted_has_words_and_each_word_is_used() -> None:
    code = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "relay/app/converting").glob("*.py")}
    del code["report.py"]  # it has the words
    written = "".join(code.values())
    noted = set(re.findall(r'\.note\(\s*"(\w+)"', written))
    assert noted <= set(WORDS)
    assert [kind for kind in WORDS if f'"{kind}"' not in written] == []
