"""Unicode's normal forms, in time that grows with the text alone. Pure."""

from __future__ import annotations

import unicodedata
from itertools import groupby
from typing import Literal

RUN = 30  # combining marks in a row, by UAX 15's Stream-Safe Text Format


def normal(form: Literal["NFC", "NFKC"], text: str) -> str:
    """A text in a normal form. Of more than RUN combining marks in a row the rest is left out.

    Such marks are sorted, in quadratic time: 64 Ki of them would take ten seconds.
    """
    if text.isascii():
        return text
    return unicodedata.normalize(form, _bounded(text))


def _bounded(text: str) -> str:
    if not any(map(unicodedata.combining, text)):
        return text
    parts: list[str] = []
    for marks, run in groupby(text, lambda one: unicodedata.combining(one) > 0):
        said = "".join(run)
        parts.append(said[:RUN] if marks else said)
    return "".join(parts)
