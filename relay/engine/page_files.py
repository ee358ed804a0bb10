"""The files of plugins' page modules, read when a plugin is loaded."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from relay.http.files import PLUGIN_TYPES, File, file_of, read_folder
from relay.plugin.page import PageExtension
from relay.protocol.envelope import encode_json
from relay.settings.problems import did_you_mean

MAX_BYTES: Final = 4 << 20
"""The most bytes of all files of one plugin: they are kept in memory."""

MAX_OPTIONS_BYTES: Final = 16 << 10


class PageFiles(NamedTuple):
    """A page module with its files.

    Attributes:
        module: the name of the module that the page loads; None for none.
        admin: the name of the module that the administration loads; None for none.
        styles: the names of the style sheets.
        options: for the module; JSON values.
        files: all files, by their paths below `/plugins/NAME/`.
        version: a digest of all of that.
    """

    module: str | None
    admin: str | None
    styles: tuple[str, ...]
    options: Any
    files: Mapping[str, File]
    version: str


def read_page(page: PageExtension, beside: Path) -> PageFiles:
    """Return a page module with its files.

    Args:
        beside: the folder of the plugin's own file.

    Raises:
        ValueError: a file is not there, or there is too much of them.
        OSError: one cannot be read.
        TypeError: its options are nothing that JSON can say.
    """
    if page.folder is None:
        module = None if page.module is None else "page.js"
        admin = None if page.admin is None else "admin.js"
        styles = tuple(f"style-{number}.css" for number, _ in enumerate(page.styles, 1))
        texts = [(module, page.module), (admin, page.admin), *zip(styles, page.styles, strict=True)]
        sources = {name: text for name, text in texts if name is not None and text is not None}
        files = {name: file_of(PLUGIN_TYPES[Path(name).suffix], text.encode()) for name, text in sources.items()}
    else:
        module, admin, styles = page.module, page.admin, tuple(page.styles)
        files = _files_of(page, beside / page.folder)
    options = _options_of(page)
    digest = hashlib.sha256(encode_json([module, admin, styles, options]))
    for name, file in files.items():
        digest.update(f"{name} {file.digest}\n".encode())
    return PageFiles(module, admin, styles, options, files, digest.hexdigest()[:16])


def _files_of(page: PageExtension, folder: Path) -> dict[str, File]:
    if not folder.is_dir():
        raise ValueError(f"relay_page: there is no folder {folder}; it is looked for beside the plugin's file")
    files = dict(read_folder(folder, PLUGIN_TYPES, MAX_BYTES))
    for name, end in _named(page):
        if name not in files:
            hint = did_you_mean(name, files)
            raise ValueError(f"relay_page: there is no {name!r} in {folder}{f'; {hint}' if hint else ''}")
        if not name.endswith(end):
            raise ValueError(f"relay_page: {name!r} does not end in {end}")
    return files


def _named(page: PageExtension) -> Iterator[tuple[str, str]]:
    for module in (page.module, page.admin):
        if module is not None:
            yield module, ".js"
    for style in page.styles:
        yield style, ".css"


def _options_of(page: PageExtension) -> Any:
    try:
        options = msgspec.to_builtins(page.options)
        size = len(encode_json(options))
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(f"relay_page: options is a value that JSON can say: {error}") from None
    if size > MAX_OPTIONS_BYTES:
        raise ValueError(f"relay_page: options has {size} bytes as JSON; {MAX_OPTIONS_BYTES} at most")
    return options
