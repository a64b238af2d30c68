"""Whether Redis counts as away: a connection that breaks once is no news, silence is. Pure."""

from __future__ import annotations

from typing import Final

AWAY: Final = 2.0  # seconds without an answer


class Health:
    """What each of several callers has seen last. reason: why Redis counts as away, or ''."""

    __slots__ = ("_reasons", "_since", "_well")

    def __init__(self, now: float) -> None:
        self._since = now  # it was last well, or this began
        self._well: dict[str, float] = {}
        self._reasons: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"<Health {self.reason or 'well'}>"

    @property
    def reason(self) -> str:
        """Why Redis counts as away."""
        return next(iter(self._reasons.values()), "")

    def away(self, now: float) -> float:
        """Seconds for which it has been away; 0 while it is not."""
        return now - self._since if self._reasons else 0.0

    def fail(self, reason: str) -> None:
        """It is away from the beginning; the follower will find out when it is there."""
        self._reasons["follower"] = reason

    def missed(self, who: str, reason: str, now: float, *, lasting: bool = False) -> bool:
        """A call has failed; whether that is news."""
        before = self.reason
        if not before:
            self._since = now
        if lasting or now - self._well.setdefault(who, now) >= AWAY:
            self._reasons[who] = reason
        return bool(self.reason) and not before

    def well(self, who: str, now: float) -> bool:
        """A call was answered; whether that is news."""
        before = self.reason
        self._well[who] = now
        self._reasons.pop(who, None)
        return bool(before) and not self.reason
