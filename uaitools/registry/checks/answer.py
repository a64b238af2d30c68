"""What one check of an instance has found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Answer:
    """failure: why the instance is not good, in a few words, '' when it is.

    weak: it is good, but asks for less (429).
    """

    failure: str = ""
    weak: bool = False


GOOD = Answer()
WEAK = Answer(weak=True)
