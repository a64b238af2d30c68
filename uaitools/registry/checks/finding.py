"""What the checks of one kind say of an instance, from one answer to the next."""

from __future__ import annotations

from typing import Final

from uaitools.registry.checks.answer import Answer
from uaitools.registry.evidence import Testimony, Word
from uaitools.traffic.checks import CheckPolicy, CheckRecord

RETELL: Final = 60.0  # seconds between two reasons of one outage

PASSES: Final = "passes"
TOLD_LESS: Final = "is told to ask less"


class Finding:
    """The word of one check. word: what it says. record: how its answers were.

    The first answer decides when it is a pass. Once one has failed, `rise` passes in a row are
    needed for a good word and `fall` failures in a row for a bad one; 429 is a pass.
    """

    __slots__ = ("_passed", "_reason", "_told_at", "record", "word")

    def __init__(self, record: CheckRecord) -> None:
        self.record = record
        self.word = Word.NOTHING
        self._passed = 0  # in a row
        self._reason = ""  # as it was told
        self._told_at = 0.0

    def __repr__(self) -> str:
        return f"<Finding {self.word.value} {self.record!r}>"

    def note(self, answer: Answer, policy: CheckPolicy, now: float) -> Testimony | None:
        """Count an answer; what to tell, if that is new.

        The reason continues "the check ...". That of a bad word may change with each answer; it
        is told again at most every RETELL seconds.
        """
        self.record.note(answer.failure, policy, now)
        self._passed = 0 if answer.failure else self._passed + 1
        word, reason = self._says(answer, policy)
        if word is self.word:
            again = word is Word.BAD and now - self._told_at >= RETELL
            if reason == self._reason or not again:
                return None
        self.word = word
        self._reason = reason
        self._told_at = now
        return Testimony(word, reason)

    def _says(self, answer: Answer, policy: CheckPolicy) -> tuple[Word, str]:
        if self.record.down:
            return Word.BAD, f"fails: {answer.failure}" if answer.failure else self._reason
        if answer.failure:
            return self.word, self._reason  # not often enough in a row
        if self.word is Word.NOTHING and self.record.failures and self._passed < policy.rise:
            return self.word, self._reason
        return (Word.WEAK, TOLD_LESS) if answer.weak else (Word.GOOD, PASSES)
