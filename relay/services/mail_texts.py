"""The mails that relay sends: subject and text, in each language of the page."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

Language = Literal["en", "fr"]
What = Literal["reset", "verify", "changed", "password", "join", "known", "test"]


class Text(NamedTuple):
    """A mail's subject and text; `{place}` is the page's address, `{link}` a link, `{name}` a user id."""

    subject: str
    body: str


_END: Final[dict[Language, str]] = {
    "en": "\n\nThis mail comes from {place}. Nobody reads answers to it.\n",
    "fr": "\n\nCe message vient de {place}. Personne ne lit les réponses.\n",
}
_TEXTS: Final[dict[Language, dict[What, Text]]] = {
    "en": {
        "reset": Text(
            "A new password for {name}",
            "Somebody, probably you, asked for a new password for the account {name}.\n\nChoose it here, within an"
            " hour:\n{link}\n\nIf it was not you, do nothing: the password stays as it is.",
        ),
        "verify": Text(
            "Confirm your address",
            "The account {name} is to have this mail address.\n\nConfirm it here, within a day:\n{link}\n\nIf this"
            " is not your account, do nothing.",
        ),
        "changed": Text(
            "Your mail address was changed",
            "The account {name} does not have this mail address any more.\n\nIf it was not you, choose a new"
            " password, and ask an administrator.",
        ),
        "password": Text(
            "Your password was changed",
            "The password of the account {name} was set anew by a link, and its sessions were ended.\n\nIf it was"
            " not you, ask an administrator.",
        ),
        "join": Text(
            "Your account at {place}",
            "Somebody, probably you, asked for an account with this mail address.\n\nMake it here, within a"
            " day:\n{link}\n\nIf it was not you, do nothing.",
        ),
        "known": Text(
            "You have an account at {place}",
            "Somebody, probably you, asked for an account with this mail address. There is one: {name}.\n\nSign in"
            " with it at {place}, where you can also ask for a new password.",
        ),
        "test": Text("A test", "If you can read this, mails from relay arrive."),
    },
    "fr": {
        "reset": Text(
            "Un nouveau mot de passe pour {name}",
            "Quelqu’un, sans doute vous, a demandé un nouveau mot de passe pour le compte {name}.\n\nChoisissez-le"
            " ici, dans l’heure :\n{link}\n\nSi ce n’était pas vous, ne faites rien : le mot de passe reste le"
            " même.",
        ),
        "verify": Text(
            "Confirmez votre adresse",
            "Le compte {name} doit avoir cette adresse.\n\nConfirmez-la ici, dans la journée :\n{link}\n\nSi ce"
            " compte n’est pas le vôtre, ne faites rien.",
        ),
        "changed": Text(
            "Votre adresse a été changée",
            "Le compte {name} n’a plus cette adresse.\n\nSi ce n’était pas vous, choisissez un nouveau mot de"
            " passe et adressez-vous à un administrateur.",
        ),
        "password": Text(
            "Votre mot de passe a été changé",
            "Le mot de passe du compte {name} a été changé par un lien, et ses sessions ont été fermées.\n\nSi ce"
            " n’était pas vous, adressez-vous à un administrateur.",
        ),
        "join": Text(
            "Votre compte sur {place}",
            "Quelqu’un, sans doute vous, a demandé un compte avec cette adresse.\n\nCréez-le ici, dans la"
            " journée :\n{link}\n\nSi ce n’était pas vous, ne faites rien.",
        ),
        "known": Text(
            "Vous avez un compte sur {place}",
            "Quelqu’un, sans doute vous, a demandé un compte avec cette adresse. Il y en a un : {name}.\n\n"
            "Connectez-vous sur {place} ; vous pouvez aussi y demander un nouveau mot de passe.",
        ),
        "test": Text("Un essai", "Si vous lisez ceci, les messages de relay arrivent."),
    },
}


def text_of(what: What, language: Language, place: str, *, name: str = "", link: str = "") -> Text:
    """Return a mail's subject and text."""
    subject, body = _TEXTS[language][what]
    given = {"place": place, "name": name, "link": link}
    return Text(subject.format(**given), (body + _END[language]).format(**given))
