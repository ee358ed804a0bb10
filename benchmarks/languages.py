"""Text as people write it, in seven languages: few words make up most of it, and most words are rare.

The words after the first are made up of each language's syllables; how often they come follows Zipf's law, as in
any language (Zipf 1949: the n-th most frequent word comes about 1/n as often as the first).
"""

from bisect import bisect
from collections.abc import Sequence
from itertools import accumulate
from random import Random

VOCABULARY = 12_000
COMMON = {
    "en": "the to and a of I you in is it that for we on have be this not with at are can was but so do if what",
    "de": "die der und ich das ist nicht wir es zu in den ein mit auf für sie auch wie heute schön über können",
    "fr": "de la le et les je que est pas un pour dans ça nous vous avec mais être très déjà où même français",
    "es": "de que no la el y en los es por con una para mañana también está más aquí señor año qué cómo",
    "ru": "и в не на я что с это он как но так все мы завтра уже или если когда потому сегодня привет",
    "ar": "في من على هذا أن لا ما هو كان مع التي كل اليوم غدا نعم شكرا جدا الآن",
}
SYLLABLES = {
    "en": "con ter in ment ra tion ble ex pro ver ing lo mi ca per su tal for der est",
    "de": "ver ge be ung schaft keit stell fahr ber zu arb heit lich ein auf ström häus gröss füh lauf",
    "fr": "con dé vou ment par tion é ré lé pro cour mai jou ses prin temps fran çai hé ni",
    "es": "ción men to de ro can pa ra gui ta lle ño sal cor vi da dor mien pue ca",
    "ru": "про ста но ва ни пе ре ко мо вать ска за при ход ле ния то ру да ми",
    "ar": "مك تب در سة كت اب عم ل سف ر بي ت مد ين ة طر يق حد يث وق",
}
HAN = "".join(chr(code) for code in range(0x4E00, 0x4E00 + 2400, 2))
KANA = "".join(chr(code) for code in range(0x3042, 0x3093))


class Language:
    """One language's words, the most frequent first."""

    def __init__(self, name: str, random: Random) -> None:
        self.spaced = name in COMMON
        self.words = _spaced(name, random) if self.spaced else _unspaced(random)
        self._weights = list(accumulate(1 / rank for rank in range(1, len(self.words) + 1)))

    def word(self, random: Random) -> str:
        """Return a word, as likely as it is frequent."""
        return self.words[bisect(self._weights, random.random() * self._weights[-1])]

    def sentence(self, random: Random) -> str:
        """Return a message of 3 to 40 words, mostly short."""
        count = min(40, 3 + int(random.expovariate(1 / 9)))
        said = [self.word(random) for _ in range(count)]
        return (" ".join(said) if self.spaced else "".join(said)) + random.choice(("", ".", "?", "!", " :)"))


def languages(random: Random) -> Sequence[Language]:
    """Return all languages; half of what is said is in the first."""
    return [Language(name, random) for name in (*COMMON, "zh-ja")]


def _spaced(name: str, random: Random) -> list[str]:
    syllables = SYLLABLES[name].split()
    made = dict.fromkeys(COMMON[name].split())
    while len(made) < VOCABULARY:
        made["".join(random.choices(syllables, k=random.choice((2, 2, 3, 3, 4))))] = None
    return list(made)


def _unspaced(random: Random) -> list[str]:
    made = dict.fromkeys("的了是我不在人有这中")
    while len(made) < VOCABULARY:
        letters = KANA if random.random() < 0.3 else HAN
        made["".join(random.choices(letters, k=random.choice((1, 2, 2, 2, 3))))] = None
    return list(made)
