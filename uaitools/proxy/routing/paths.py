"""The routes of one host, found by a path's segments: what a request costs is its path's length.

A walk down a tree of segments meets every pattern that takes a path; those it meets are few,
however many routes there are. Routes with one pattern stand together, by what they ask of a head.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeAlias

from uaitools.proxy.routing.conditions import Condition, Facts
from uaitools.proxy.routing.pattern import EXACT, PREFIX, Pattern

if TYPE_CHECKING:
    from uaitools.proxy.routing.router import Route


_Place: TypeAlias = "tuple[int, int, Route]"


class Level:
    """The routes of one host with one pattern: of equal rank but for what else they ask.

    plain: those that ask nothing else, in order; with `conditional` not all there are.
    """

    __slots__ = ("_by_conditions", "_shapes", "_unconditional", "conditional", "plain", "rank")

    def __init__(self, rank: tuple[int, ...]) -> None:
        self.rank = rank
        self.conditional = False
        self.plain: list[Route] = []
        self._unconditional: list[_Place] = []
        self._by_conditions: dict[tuple[Condition, ...], list[_Place]] = {}
        # Conditions without their values: a route's values are found by a look-up for each of
        # these, so that a thousand routes that differ in a value only cost what one does.
        self._shapes: dict[tuple[tuple[str, bytes, bool], ...], None] = {}

    def __repr__(self) -> str:
        return f"<Level {self.rank} conditions={len(self._by_conditions)}>"

    @property
    def conditions(self) -> Iterable[Condition]:
        """All that routes ask here."""
        return [condition for asked in self._by_conditions for condition in asked]

    def add(self, route: Route, order: int) -> None:
        """Add a route. order: its place in the configuration."""
        asked = route.conditions
        # More conditions first, the allowed methods being one, then the order of the file.
        place = (-len(asked) - bool(route.methods), order, route)
        if asked:
            self.conditional = True
            self._shapes[tuple([(c.where, c.name, c.value is not None) for c in asked])] = None
            self._by_conditions.setdefault(asked, []).append(place)
        else:
            insort(self._unconditional, place)  # no two have one order: routes are not compared
            self.plain = [route for _, _, route in self._unconditional]

    def candidates(self, facts: Facts) -> list[Route]:
        """The routes whose conditions hold, in the order in which they are asked; all of `plain`.

        Not needed where nothing is conditional.
        """
        found = list(self._unconditional)
        for shape in self._shapes:
            asked: list[Condition] = []
            for where, name, exact in shape:
                value = facts.value(where, name)
                if value is None:
                    break
                asked.append(Condition(where, name, value if exact else None))
            else:
                found += self._by_conditions.get(tuple(asked), ())
        if len(found) > 1:
            found.sort()
        return [route for _, _, route in found]


class _Node:
    """What patterns say behind the same first segments."""

    __slots__ = ("any", "end", "prefix", "tail", "texts", "wide")

    def __init__(self) -> None:
        self.texts: dict[bytes, _Node] = {}
        self.any: _Node | None = None
        self.end: Level | None = None  # templates that end here
        self.prefix: Level | None = None
        self.tail: Level | None = None  # templates that take what follows the next slash
        self.wide: list[Level] = []  # both of them


class Paths:
    """All patterns of one host."""

    __slots__ = ("_depth", "_exact", "_root", "_size")

    def __init__(self) -> None:
        self._exact: dict[bytes, Level] = {}
        self._root = _Node()
        self._depth = 0
        self._size = 0

    def __repr__(self) -> str:
        return f"<Paths routes={self._size} depth={self._depth}>"

    def add(self, route: Route, order: int) -> None:
        """Add a route. order: its place in the configuration."""
        self._size += 1
        pattern = route.pattern
        if pattern.kind == EXACT:
            level = self._exact.get(route.path)
            if level is None:
                level = self._exact[route.path] = Level(pattern.rank)
        else:
            self._depth = max(self._depth, len(pattern.segments))
            level = self._level(pattern)
        level.add(route, order)

    def _level(self, pattern: Pattern) -> Level:
        node = self._root
        for segment in pattern.segments:
            if segment is None:
                if node.any is None:
                    node.any = _Node()
                node = node.any
            else:
                node = node.texts.setdefault(segment, _Node())
        if pattern.tail:
            if node.tail is None:
                node.tail = Level(pattern.rank)
                node.wide.append(node.tail)
            return node.tail
        if pattern.kind == PREFIX:
            if node.prefix is None:
                node.prefix = Level(pattern.rank)
                node.wide.append(node.prefix)
            return node.prefix
        if node.end is None:
            node.end = Level(pattern.rank)
        return node.end

    def levels(self, path: bytes) -> list[Level]:
        """The levels whose pattern takes a path, in the order in which they are asked."""
        if not path.startswith(b"/"):  # `*` of OPTIONS
            return []
        found = self._walk(path)
        exact = self._exact.get(path)
        if exact is not None:
            found.append(exact)
        if len(found) > 1:
            found.sort(key=_rank, reverse=True)
        return found

    def _walk(self, path: bytes) -> list[Level]:
        found: list[Level] = []
        # Only as many segments as the deepest pattern has can matter; the last one is the rest.
        segments = path.split(b"/", self._depth + 1)[1:]
        nodes = [self._root]
        for segment in segments:
            below: list[_Node] = []
            for node in nodes:
                found += node.wide
                text = node.texts.get(segment)
                if text is not None:
                    below.append(text)
                if node.any is not None and segment:
                    below.append(node.any)
            nodes = below
        for node in nodes:
            if node.prefix is not None:
                found.append(node.prefix)
            if node.end is not None:
                found.append(node.end)
        return found


def _rank(level: Level) -> tuple[int, ...]:
    return level.rank
