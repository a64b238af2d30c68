"""One form for the forms of a word, and the words that say nothing by themselves. Pure."""

from __future__ import annotations

import sys
import unicodedata
from functools import lru_cache
from importlib.util import find_spec
from types import ModuleType
from typing import Final

# The English stemmer alone. The package's own first lines load 30 languages, 3 MB and 30 ms, and
# take PyStemmer where it is installed, whose version need not be the same.
_NAME: Final = "snowballstemmer"
_bare = ModuleType(_NAME)
_spec = find_spec(_NAME)
_bare.__path__ = list((_spec and _spec.submodule_search_locations) or ())
_whole = sys.modules.get(_NAME)
sys.modules[_NAME] = _bare
try:
    from snowballstemmer.english_stemmer import EnglishStemmer
finally:
    del sys.modules[_NAME]
    if _whole is not None:
        sys.modules[_NAME] = _whole

_REMEMBERED: Final = 8_192  # words, 2 MB; a stem takes 30 us
_MARKS: Final = dict.fromkeys(range(0x300, 0x370))  # accents, once they stand by themselves
_stemmer: Final = EnglishStemmer()

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


def stem(word: str) -> str:
    """One form for the forms of a casefolded word, without its accents."""
    plain = word
    if not word.isascii():
        plain = unicodedata.normalize("NFD", word).translate(_MARKS)
    if not plain.isascii() or not plain.replace("'", "").isalpha():
        return unicodedata.normalize("NFC", plain)  # not remembered: numbers are ever new ones
    return _stemmed(plain)


@lru_cache(_REMEMBERED)
def _stemmed(word: str) -> str:
    return str(_stemmer.stemWord(word)).replace("'", "")
