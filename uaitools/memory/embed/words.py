"""The words of a text, as embedders count them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

# Nothing is longer: what looks like a word of 100 kB must not become work without a pause.
_WORD: Final = re.compile(r"\w{1,64}")


def words(text: str) -> Iterator[str]:
    """Letters, digits and underscores that stand together, in lower case."""
    for match in _WORD.finditer(text):
        yield match[0].lower()
