"""One form for the forms of a word, and the words that say nothing by themselves. Pure."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import Final

import snowballstemmer

_REMEMBERED: Final = 65_536  # words; a stem takes 30 us
_MARKS: Final = dict.fromkeys(range(0x300, 0x370))  # accents, once they stand by themselves
_stemmer: Final = snowballstemmer.stemmer("english")

STOPS: Final = frozenset(
    """a about above after again against all am an and any are as at be because been before being
    below between both but by can could did do does doing down during each few for from further had
    has have having he her here hers herself him himself his how i if in into is it its itself just
    me more most my myself no nor not now of off on once only or other our ours ourselves out over
    own same she should so some such than that the their theirs them themselves then there these
    they this those through to too under until up very was we were what when where which while who
    whom why will with would you your yours yourself yourselves""".split()  # noqa: SIM905 - legible
)
"""Words of English that nearly every text has: a query is better without them."""


@lru_cache(_REMEMBERED)
def stem(word: str) -> str:
    """One form for the forms of a casefolded word, without its accents."""
    plain = unicodedata.normalize("NFD", word).translate(_MARKS)
    if not plain.isascii() or not plain.replace("'", "").isalpha():
        return unicodedata.normalize("NFC", plain)
    return str(_stemmer.stemWord(plain)).replace("'", "")
