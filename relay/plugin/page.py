"""The page module of a plugin: JavaScript and styles by which relay's own page draws the plugin's messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class PageExtension:
    """A plugin's page module with its files. Return it from `relay_page`.

    Args:
        folder: the folder with the files, beside the plugin's own file; None where `module` is a source text.
        module: the JavaScript module that the page loads: the name of a file in the folder, or its source text.
        styles: style sheets: names of files in the folder, or source texts.
        options: for the module, in its `relay`: a value that JSON can say, or a struct. Nothing secret: everybody
            can read it.
    """

    folder: str | Path | None = None
    module: str = "page.js"
    styles: Sequence[str] = ()
    options: Any = None

    def __post_init__(self) -> None:
        if self.folder is not None and not isinstance(self.folder, str | Path):
            raise TypeError(
                f"relay_page: folder is {self.folder!r:.80}; write the folder's name, as in folder='page'"
            )
        if not isinstance(self.module, str):
            raise TypeError(
                f"relay_page: module is {self.module!r:.80}; it is the name of a file, or a source text"
            )
        if self.folder is None and "\n" not in self.module and self.module.endswith(".js"):
            raise TypeError(
                f"relay_page: module is {self.module!r:.80}, without a folder; write folder='page' for the folder"
                " that has the file, or give the module's source text"
            )
        if isinstance(self.styles, str) or not all(isinstance(style, str) for style in self.styles):
            raise TypeError(f"relay_page: styles is {self.styles!r:.80}; write a list of texts")
        object.__setattr__(self, "styles", tuple(self.styles))
