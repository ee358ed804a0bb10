"""Archives: a zip, a folder or a file, and what is refused because it could do harm."""

from __future__ import annotations

import io
import stat
import zipfile
from pathlib import Path

import pytest

from relay.app.converting.archives import ExportError, below, open_archive, read_text
from tests.app.converting.made import in_folder, in_zip

FILES = {"users.json": [], "general/2020-09-13.json": [{}], "__uploads/F1/a.png": b"\x89PNG"}


@pytest.mark.parametrize("zipped", [True, False])
def test_files_are_read_by_their_names(tmp_path: Path, zipped: bool) -> None:
    path = in_zip(tmp_path / "a.zip", FILES) if zipped else in_folder(tmp_path / "a", FILES)
    with open_archive(path) as archive:
        assert archive.names() == sorted(FILES)
        assert archive.size("users.json") == 2
        assert read_text(archive, "users.json") == b"[]"
        with archive.open("__uploads/F1/a.png") as file:
            assert file.read() == b"\x89PNG"
        assert below(archive, "users.json") == ""


def test_a_single_file_is_an_archive_of_one(tmp_path: Path) -> None:
    path = tmp_path / "import.jsonl"
    path.write_bytes(b"x")
    with open_archive(path) as archive:
        assert (archive.names(), archive.size("import.jsonl")) == (["import.jsonl"], 1)
        assert read_text(archive, "import.jsonl") == b"x"


def test_a_folder_around_it_is_found_and_what_macos_adds_is_not_in_it(tmp_path: Path) -> None:
    path = in_zip(
        tmp_path / "a.zip", {**{f"Acme export/{n}": v for n, v in FILES.items()}, "__MACOSX/users.json": []}
    )
    with open_archive(path) as archive:
        assert below(archive, "users.json") == "Acme export/"
        assert len(archive.names()) == 3


def test_a_link_in_a_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    folder = in_folder(tmp_path / "a", FILES)
    (folder / "link.json").symlink_to(tmp_path / "secret")
    (folder / "all").symlink_to(tmp_path)
    with open_archive(folder) as archive:
        assert archive.names() == sorted(FILES)


@pytest.mark.parametrize("name", ["../x.json", "a/../../x.json", "/etc/passwd", "a\\..\\..\\x", "C:/x", "a\nb"])
def test_a_name_that_leads_outside_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as opened:
        opened.writestr("users.json", "[]")
        opened.writestr(zipfile.ZipInfo(name), "x")
    with pytest.raises(ExportError, match="leads outside of it"), open_archive(path):
        pass


def test_links_and_copies_in_a_zip_are_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as opened:
        opened.writestr(link, "/etc/passwd")
    with pytest.raises(ExportError, match="'link' is a link"), open_archive(path):
        pass
    with zipfile.ZipFile(path, "w") as opened:
        opened.writestr("users.json", "[]")
        with pytest.warns(UserWarning, match="Duplicate name"):
            opened.writestr("users.json", "[1]")
    with pytest.raises(ExportError, match=r"'users.json' is in it twice"), open_archive(path):
        pass


def test_an_encrypted_file_is_refused(tmp_path: Path) -> None:
    path = in_zip(tmp_path / "a.zip", {"users.json": []})
    written = bytearray(path.read_bytes())
    at = written.rindex(b"PK\x01\x02")
    written[at + 8] |= 1
    path.write_bytes(bytes(written))
    with pytest.raises(ExportError, match="is encrypted"), open_archive(path):
        pass


def test_what_would_become_far_larger_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened,
        opened.open("general/2020-09-13.json", "w") as day,
    ):
        for _ in range(80):
            day.write(bytes(1_000_000))
    assert path.stat().st_size < 100_000
    with pytest.raises(ExportError, match="would become 80,000,000 bytes"), open_archive(path):
        pass


def test_a_damaged_zip_is_named_and_so_is_a_damaged_file_in_it(tmp_path: Path) -> None:
    path = in_zip(tmp_path / "a.zip", {"users.json": [{"id": str(n)} for n in range(1000)]})
    whole = path.read_bytes()
    path.write_bytes(whole[:60] + bytes(20) + whole[80:])
    with open_archive(path) as archive, pytest.raises(ExportError, match=r"^users.json: cannot be read: "):
        read_text(archive, "users.json")
    path.write_bytes(whole[: len(whole) // 2])
    with open_archive(path) as archive:  # no zip any more, so one file, which is no export
        assert archive.names() == ["a.zip"]


def test_a_name_in_an_old_encoding_is_read_all_the_same(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        opened.writestr("caf_/2020-09-13.json", "[]")
    for name in ("caf\u00e9".encode(), b"caf\x82"):  # UTF-8 that does not say so, and what DOS had
        padded = name + b"_" * (5 - len(name))
        path = tmp_path / "a.zip"
        path.write_bytes(buffer.getvalue().replace(b"caf_/", padded if len(padded) == 5 else b"caf_/"))
        with open_archive(path) as archive:
            assert len(archive.names()) == 1


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="No such file"), open_archive(tmp_path / "none.zip"):
        pass
