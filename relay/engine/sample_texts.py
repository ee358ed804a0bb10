"""The texts of the sample data, in each language of the page: who is in it, and what they say."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

Language = Literal["en", "fr"]

MIRA: Final = "sample.mira"
JONAS: Final = "sample.jonas"
AIKO: Final = "sample.aiko"
SAMIR: Final = "sample.samir"
PEOPLE: Final = {MIRA: "Mira Okafor", JONAS: "Jonas Lindqvist", AIKO: "Aiko Tanaka", SAMIR: "Samir Haddad"}
"""Names by user id; the ids tell everybody that they are samples."""

WEBSITE: Final = "sample.website"
WEEKEND: Final = "sample.weekend"


class Said(NamedTuple):
    """One message of the sample.

    Attributes:
        ago: how long ago it was said, in minutes.
        text: `{you}` is whom the sample is made for.
        name: what later messages call it by.
        reply: the name of the message that it answers.
        thread: the name of the message in whose thread it is.
        mentions: whom it calls; `{you}` as in `text`.
        picture: whether the picture is attached to it.
        reactions: who reacted to it, and with what.
    """

    sender: str
    ago: float
    text: str
    name: str = ""
    reply: str = ""
    thread: str = ""
    mentions: tuple[str, ...] = ()
    picture: bool = False
    reactions: tuple[tuple[str, str], ...] = ()


class Story(NamedTuple):
    """The sample in one language.

    Attributes:
        groups: their names and descriptions, by id.
        messages: by group, in their order.
        question: the poll's, asked in `WEEKEND` before its last message.
        options: what one can vote for.
        picture: the name of the picture's file.
    """

    groups: dict[str, tuple[str, str]]
    messages: dict[str, tuple[Said, ...]]
    question: str
    options: tuple[str, ...]
    picture: str


VOTES: Final = ((MIRA, 0), (JONAS, 1), (AIKO, 1))
"""Who votes for which option."""

STORIES: Final[dict[Language, Story]] = {
    "en": Story(
        groups={
            WEBSITE: ("New website", "Sample data: a team, one day before its website goes live"),
            WEEKEND: ("Weekend in the hills", "Sample data: where to go, and when"),
        },
        messages={
            WEBSITE: (
                Said(
                    MIRA,
                    1510,
                    "Hello! The **new website** goes live on Thursday. What is still open?",
                    reactions=((SAMIR, "☕"),),
                ),
                Said(
                    JONAS,
                    1504,
                    "On my list:\n- the texts in French\n- the order form\n- a picture for the front page",
                    "list",
                ),
                Said(
                    AIKO,
                    1498,
                    "I take the order form. @sample.jonas, which fields does it need?",
                    "form",
                    reply="list",
                    mentions=(JONAS,),
                    reactions=((MIRA, "👍"), (JONAS, "👍")),
                ),
                Said(JONAS, 1490, "Name, address, and how many. They are in `orders.csv`.", thread="form"),
                Said(AIKO, 1471, "Found it. A phone number as well?", thread="form"),
                Said(MIRA, 1466, "Please not. We only ask for what we need.", thread="form"),
                Said(SAMIR, 190, "The French texts are done: https://example.org/fr", reactions=((MIRA, "🎉"),)),
                Said(AIKO, 64, "And the order form works. Who tries it on a phone?", "try"),
                Said(
                    MIRA,
                    12,
                    "@{you}, welcome! Try it all here: reply, react, edit, search for “order”, open the thread."
                    " These people are samples, so nobody else reads it.",
                    mentions=("{you}",),
                    reactions=((SAMIR, "👋"), (JONAS, "👋")),
                ),
            ),
            WEEKEND: (
                Said(SAMIR, 1325, "The hut at the lake has room for six. Who comes?"),
                Said(
                    AIKO,
                    1319,
                    "Me! It looks like this in June.",
                    picture=True,
                    reactions=((SAMIR, "😍"), (MIRA, "❤️")),
                ),
                Said(MIRA, 1290, "Then let us vote on the date."),
                Said(JONAS, 45, "I bring the bread. @{you}, are you in?", mentions=("{you}",)),
            ),
        },
        question="Which weekend?",
        options=("6 and 7 June", "13 and 14 June", "20 and 21 June"),
        picture="hut at the lake.png",
    ),
    "fr": Story(
        groups={
            WEBSITE: ("Nouveau site", "Données d’exemple : une équipe, la veille de la mise en ligne de son site"),
            WEEKEND: ("Week-end en montagne", "Données d’exemple : où aller, et quand"),
        },
        messages={
            WEBSITE: (
                Said(
                    MIRA,
                    1510,
                    "Bonjour ! Le **nouveau site** est mis en ligne jeudi. Que reste-t-il à faire ?",
                    reactions=((SAMIR, "☕"),),
                ),
                Said(
                    JONAS,
                    1504,
                    "Sur ma liste :\n- les textes en anglais\n- le formulaire de commande\n- une image d’accueil",
                    "list",
                ),
                Said(
                    AIKO,
                    1498,
                    "Je prends le formulaire. @sample.jonas, quels champs faut-il ?",
                    "form",
                    reply="list",
                    mentions=(JONAS,),
                    reactions=((MIRA, "👍"), (JONAS, "👍")),
                ),
                Said(
                    JONAS, 1490, "Le nom, l’adresse et la quantité. Tout est dans `commandes.csv`.", thread="form"
                ),
                Said(AIKO, 1471, "Trouvé. Un numéro de téléphone aussi ?", thread="form"),
                Said(MIRA, 1466, "Plutôt pas. Ne demandons que le nécessaire.", thread="form"),
                Said(
                    SAMIR, 190, "Les textes anglais sont prêts : https://example.org/en", reactions=((MIRA, "🎉"),)
                ),
                Said(AIKO, 64, "Et le formulaire de commande marche. Qui l’essaie sur un téléphone ?", "try"),
                Said(
                    MIRA,
                    12,
                    "@{you}, bienvenue ! Essayez tout ici : répondez, réagissez, modifiez, cherchez « commande »,"
                    " ouvrez le fil plus haut. Ces personnes sont des exemples, personne d’autre ne vous lit.",
                    mentions=("{you}",),
                    reactions=((SAMIR, "👋"), (JONAS, "👋")),
                ),
            ),
            WEEKEND: (
                Said(SAMIR, 1325, "Le refuge au bord du lac a de la place pour six. Qui vient ?"),
                Said(
                    AIKO,
                    1319,
                    "Moi ! En juin, c’est comme ça.",
                    picture=True,
                    reactions=((SAMIR, "😍"), (MIRA, "❤️")),
                ),
                Said(MIRA, 1290, "Alors votons pour la date."),
                Said(JONAS, 45, "J’apporte le pain. @{you}, tu viens ?", mentions=("{you}",)),
            ),
        },
        question="Quel week-end ?",
        options=("6 et 7 juin", "13 et 14 juin", "20 et 21 juin"),
        picture="refuge au bord du lac.png",
    ),
}
