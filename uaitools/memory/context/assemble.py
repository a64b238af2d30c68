"""A context within a budget: the newest turns, what is remembered, a digest of the rest. Pure.

Why more budget loses no turn. Of a budget b the turns get b - min(m, M) - d, where M is what all
memories cost, m and m + d are whole parts of b that grow by at most one when b does, and so what is
left for turns never shrinks; turns are taken from the newest on, up to the first that does not fit.
What memories and the digest leave of their shares after that cannot come back to the turns: they
have it from each other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from uaitools.memory.context.digest import digest, normal, sentences
from uaitools.memory.context.line import Line, Recalled, Turn
from uaitools.memory.context.tokens import Estimate, Tokeniser

_ESTIMATE: Final = Estimate()
T = TypeVar("T", Turn, Recalled)


@dataclass(frozen=True, slots=True)
class Shares:
    """Per cent of a budget that are kept for memories and for the digest, if there is need.

    Turns have the rest, and what is certain not to be needed. Raises ValueError above 100.
    """

    memories: int = 25
    digest: int = 15

    def __post_init__(self) -> None:
        if min(self.memories, self.digest) < 0 or self.memories + self.digest > 100:
            raise ValueError("shares are per cent of one budget")


_SHARES: Final = Shares()


@dataclass(frozen=True, slots=True)
class Context:
    """Memories, best first; the digest; turns, oldest first. tokens: of `text`, 0 without a line.

    left_out: how many turns are not there verbatim.
    """

    lines: tuple[Line, ...]
    tokens: int
    left_out: int

    @property
    def text(self) -> str:
        """All lines, as they are counted."""
        return _text(self.lines)


def assemble(
    turns: Sequence[Turn],
    memories: Sequence[Recalled],
    budget: int,
    tokeniser: Tokeniser = _ESTIMATE,
    *,
    query: str = "",
    shares: Shares = _SHARES,
) -> Context:
    """What fits `budget` tokens by the tokeniser, the marks of its lines included.

    turns: of one conversation, oldest first. memories: best first. query: what the digest is to be
    about. A line is taken at what it costs alone; should all of them be more together, lines of the
    digest go, then memories.
    """
    plan = _Plan(_once(turns), _once(memories), budget, tokeniser, shares)
    kept = plan.verbatim()
    left_out = plan.turns[: len(plan.turns) - len(kept)]
    rest = budget - plan.cost(kept)
    said = {normal(part) for line in kept for part in sentences(line.text)}
    wanted = _unsaid(plan.memories, {normal(line.text) for line in kept})

    recalled = plan.fitting(wanted, rest - (plan.for_digest if left_out else 0))
    said |= {normal(part) for line in recalled for part in sentences(line.text)}
    room = rest - plan.cost(recalled)
    summary = digest(left_out, room, plan.price, query=query, said=said)
    room -= plan.cost(summary.lines)
    others = [line for line in wanted if line not in recalled and not _says(line, summary.said)]
    recalled += plan.fitting(others, room)
    recalled.sort(key=wanted.index)
    return plan.context(recalled, summary.lines, kept)


class _Plan:
    """Prices of lines, and how a budget is divided. for_memories, for_digest: tokens."""

    __slots__ = (
        "_budget", "_count", "_prices", "for_digest", "for_memories", "memories", "turns",
    )  # fmt: skip

    def __init__(
        self,
        turns: Sequence[Turn],
        memories: Sequence[Recalled],
        budget: int,
        tokeniser: Tokeniser,
        shares: Shares,
    ) -> None:
        self.turns = turns
        self.memories = [Line("memory", one.source, one.text) for one in memories]
        self.for_memories = max(0, budget) * shares.memories // 100
        both = max(0, budget) * (shares.memories + shares.digest) // 100
        self.for_digest = both - self.for_memories
        self._budget = budget
        self._count = tokeniser.count
        self._prices: dict[Line, int] = {}

    def price(self, line: Line) -> int:
        """What a line costs alone, with its end."""
        price = self._prices.get(line)
        if price is None:
            price = self._prices[line] = self._count(f"{line.rendered}\n")
        return price

    def cost(self, lines: Iterable[Line]) -> int:
        """What lines cost, each alone."""
        return sum(map(self.price, lines))

    def verbatim(self) -> list[Line]:
        """The newest turns, as many as fit, oldest first."""
        needed = 0
        for line in self.memories:
            if needed < self.for_memories:
                needed += self.price(line)
        room = self._budget - min(needed, self.for_memories)
        kept = self._newest(room)
        # With turns left out there is a digest; else it needs nothing.
        return kept if len(kept) == len(self.turns) else self._newest(room - self.for_digest)

    def fitting(self, lines: Iterable[Line], room: int) -> list[Line]:
        """Those that fit, the first ones before others."""
        taken = []
        for line in lines:
            price = self.price(line)
            if price <= room:
                room -= price
                taken.append(line)
        return taken

    def context(self, memories: list[Line], summary: list[Line], kept: list[Line]) -> Context:
        """All of it, less what is too much together."""
        while True:
            lines = (*memories, *summary, *kept)
            tokens = self._count(_text(lines)) if lines else 0
            if tokens <= self._budget or not lines:
                return Context(lines, tokens, len(self.turns) - len(kept))
            (summary or memories).pop()

    def _newest(self, room: int) -> list[Line]:
        lines: list[Line] = []
        left = room
        for turn in reversed(self.turns):
            line = Line("turn", turn.source, turn.text, turn.role)
            left -= self.price(line)
            if left < 0:
                break
            lines.append(line)
        lines.reverse()
        while lines and self._count(_text(lines)) > room:  # no tokeniser that we know comes here
            del lines[0]
        return lines


def _text(lines: Iterable[Line]) -> str:
    return "\n".join(line.rendered for line in lines)


def _once(several: Sequence[T]) -> list[T]:
    """Each source once, as it comes first."""
    found: dict[str, T] = {}
    for one in several:
        found.setdefault(one.source, one)
    return list(found.values())


def _says(line: Line, said: Collection[str]) -> bool:
    return any(normal(part) in said for part in sentences(line.text))


def _unsaid(lines: Iterable[Line], said: set[str]) -> list[Line]:
    """Without those that say what was said, or another one does, in the same words."""
    found = []
    for line in lines:
        form = normal(line.text)
        if not form or form not in said:
            said.add(form)
            found.append(line)
    return found
