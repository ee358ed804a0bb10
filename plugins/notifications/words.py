"""Words of the server's own in notifications, in the languages that a target may ask for."""

from typing import Literal, NamedTuple

Language = Literal["en", "fr"]


class Words(NamedTuple):
    """The words of one language; those with braces are templates."""

    new_message: str
    new_messages: str
    more: str
    file: str
    files: str
    in_group: str
    test: str


WORDS: dict[Language, Words] = {
    "en": Words(
        new_message="New message",
        new_messages="{count} new messages",
        more="+{count} more",
        file="sent a file",
        files="sent {count} files",
        in_group="{sender} in {group}",
        test="This is a test. Notifications arrive here.",
    ),
    "fr": Words(
        new_message="Nouveau message",
        new_messages="{count} nouveaux messages",
        more="+{count} autres",
        file="a envoyé un fichier",
        files="a envoyé {count} fichiers",
        in_group="{sender} dans {group}",
        test="Ceci est un test. Les notifications arrivent bien ici.",
    ),
}
