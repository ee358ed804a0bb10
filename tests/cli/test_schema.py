"""`relay schema`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run


@pytest.mark.parametrize(
    ("option", "key", "value"),
    [
        ((), "$schema", "https://json-schema.org/draft/2020-12/schema"),
        (("--json-schema",), "$schema", "https://json-schema.org/draft/2020-12/schema"),
        (("--openapi",), "openapi", "3.1.0"),
        (("--asyncapi",), "asyncapi", "3.0.0"),
    ],
)
def test_each_form_is_printed_as_json(run: Run, option: tuple[str, ...], key: str, value: str) -> None:
    assert json.loads(run("schema", *option).stdout)[key] == value


def test_typescript_is_printed_as_it_is(run: Run) -> None:
    assert 'declare module "relay-sdk"' in run("schema", "--typescript").stdout


def test_two_forms_at_once_are_refused(run: Run) -> None:
    refused = run("schema", "--openapi", "--typescript", ok=False)
    assert refused.exit_code == 2
    assert "give one of --json-schema" in refused.stderr


def test_a_plugins_types_and_views_are_in_it(run: Run, folder: Path) -> None:
    (folder / "plugins.d").mkdir()
    run("plugins", "new", "star_rating")
    assert "star_rating: StarRating;" in run("schema", "--typescript").stdout
    assert "receive.star_rating" in json.loads(run("schema", "--asyncapi").stdout)["operations"]


def test_with_a_plugin_that_would_be_left_out_nothing_is_printed(run: Run, folder: Path) -> None:
    (folder / "plugins.d").mkdir()
    (folder / "plugins.d" / "broken.py").write_text("raise OSError('no')\n")
    refused = run("schema", ok=False)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "broken.py:1: OSError: no" in refused.stderr
    assert "1 plugins would be left out" in refused.stderr
