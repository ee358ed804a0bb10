"""The options of the word filter, and its list of words."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta

from .matching import Words

Action = Literal["mask", "refuse", "report"]


class Word(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A word with an action of its own."""

    word: Annotated[str, Meta(min_length=1, max_length=200)]
    action: Action


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[plugins.word_filter]`.

    Attributes:
        words: the words; `*` stands for any letters, and a table `{word, action}` has an action of its own.
        file: a file with further words, one a line; `mask: word` has an action of its own, `#` begins a remark.
        action: what happens to a message with such a word: it is changed, refused, or reported to the moderators.
        exempt_groups: the groups whose messages are not looked at.
        sender: the user in whose name messages are reported; created if there is none.
    """

    words: tuple[str | Word, ...] = ()
    file: str | None = None
    action: Action = "refuse"
    exempt_groups: tuple[str, ...] = ()
    sender: Annotated[str, Meta(min_length=1, max_length=64)] = "word_filter"

    def __post_init__(self) -> None:
        self.read()

    def read(self) -> Words[Action]:
        """Return the words of the option and of the file.

        Raises:
            ValueError: a word has no letter, or the file cannot be read.
        """
        listed = [(one, self.action) if isinstance(one, str) else (one.word, one.action) for one in self.words]
        return Words([*listed, *self._of_file()])

    def _of_file(self) -> Iterator[tuple[str, Action]]:
        if self.file is None:
            return
        try:
            lines = Path(self.file).read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(
                f"file {self.file!r} cannot be read: {getattr(error, 'strerror', None) or error!r}"
            ) from None
        for line in lines:
            word = line.partition("#")[0].strip()
            if not word:
                continue
            action, colon, rest = word.partition(":")
            known: Any = action.strip()
            if colon and known in get_args(Action):
                yield rest.strip(), known
            else:
                yield word, self.action
