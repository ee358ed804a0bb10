"""The samples for deployment, as people have them who have no source tree."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from relay.app import samples
from tests.cli.test_deployment import CONFIG


def test_every_file_of_the_folder_is_listed_and_no_other() -> None:
    assert {*(path.name for path in CONFIG.iterdir()), samples.SETTINGS} == set(samples.SAMPLES)


@pytest.mark.parametrize("name", samples.SAMPLES)
def test_a_sample_is_the_file_of_the_source_tree(name: str) -> None:
    place = CONFIG.parent if name == samples.SETTINGS else CONFIG
    assert samples.sample(name) == (place / name).read_text(encoding="utf-8")


def test_an_unknown_name_is_told_with_the_nearest() -> None:
    with pytest.raises(samples.NoSample, match=r"there is no sample 'nginx.cfg'; did you mean nginx.conf\?"):
        samples.sample("nginx.cfg")
    with pytest.raises(samples.NoSample, match=r"there are: relay.toml, production.toml, "):
        samples.sample("zzz")


def test_a_wheel_has_them_where_they_are_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tomllib.loads((CONFIG.parent / "pyproject.toml").read_text())
    places = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    monkeypatch.setattr(samples, "_PACKAGE", tmp_path / "relay")
    installed = tmp_path / places["config"]
    installed.mkdir(parents=True)
    assert samples.folder() == installed
