"""The page modules of a plugin: JavaScript and styles for relay's own page, and for the administration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class PageExtension:
    """A plugin's page modules with their files. Return it from `relay_page`.

    Args:
        folder: the folder with the files, beside the plugin's own file; None where `module` is a source text.
        module: the JavaScript module that the page loads: the name of a file in the folder, or its source text;
            None where the page has none of the plugin's.
        admin: the module that the administration at `/admin` loads, in the same way; None for none.
        styles: style sheets: names of files in the folder, or source texts.
        options: for the module, in its `relay`: a value that JSON can say, or a struct. Nothing secret: everybody
            can read it.
    """

    folder: str | Path | None = None
    module: str | None = "page.js"
    admin: str | None = None
    styles: Sequence[str] = ()
    options: Any = None

    def __post_init__(self) -> None:
        if self.folder is not None and not isinstance(self.folder, str | Path):
            raise TypeError(
                f"relay_page: folder is {self.folder!r:.80}; write the folder's name, as in folder='page'"
            )
        if self.module is None and self.admin is None:
            raise TypeError("relay_page: module and admin are None; name the module for the page, or for /admin")
        self._check("module", self.module)
        self._check("admin", self.admin)
        if isinstance(self.styles, str) or not all(isinstance(style, str) for style in self.styles):
            raise TypeError(f"relay_page: styles is {self.styles!r:.80}; write a list of texts")
        object.__setattr__(self, "styles", tuple(self.styles))

    def _check(self, field: str, module: object) -> None:
        if module is None:
            return
        if not isinstance(module, str):
            raise TypeError(f"relay_page: {field} is {module!r:.80}; it is the name of a file, or a source text")
        if self.folder is None and "\n" not in module and module.endswith(".js"):
            raise TypeError(
                f"relay_page: {field} is {module!r:.80}, without a folder; write folder='page' for the folder"
                " that has the file, or give the module's source text"
            )
