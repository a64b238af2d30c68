"""What users have remembered: texts that are varied, skewed as texts are, and always the same.

Words are drawn by Zipf's law from a vocabulary with a long tail; names, dates, amounts and
identifiers stand between them. Users have unequal numbers of memories: of 100,000 memories of
1,000 users the first has some 650, the last some 30. A memory follows from its number alone, so
nothing has to be kept of a million of them.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Final
from uuid import UUID

import orjson

_COMMON: Final = """
    the to and a of in is that for on with it my this was at are have not from but they by we about
    when after because before always never usually again during while without every new work home
    team meeting project customer order invoice flight hotel train coffee dinner lunch family sister
    brother mother father daughter doctor school birthday weekend morning evening likes prefers
    wants needs asked said moved bought booked cancelled changed started finished forgot remembers
    allergic vegetarian budget plan deadline release server database deploy bug error ticket
    password account address phone email contract payment refund price garden kitchen bicycle guitar
    running swimming yoga hiking mountain lake city office garage window blue green red small large
    early late next last first second better quiet cheap fast slow""".split()  # noqa: SIM905 - legible
_NAMES: Final = """
    Anna Ben Carla David Elena Farid Greta Hiro Ines Jonas Katja Liam Mei Nadia Omar Petra Quinn
    Rosa Samir Tara Umut Vera Wanda Xaver Yuki Zoe Lisbon Munich Osaka Nairobi Lima Oslo
    Austin""".split()  # noqa: SIM905 - legible
_SYLLABLES: Final = """
    ba co de fi gu la me ni po ra se ti vo wen zar kel mor tis bran dol""".split()  # noqa: SIM905 - legible
_CODES: Final = ("ERR_CONN", "ORD", "INV", "TICKET", "SKU", "FL")
_TYPES: Final = ("fact", "preference", "event", "task")
_TAGS: Final = ("work", "home", "travel", "food", "health", "money", "family", "code")
_TAIL: Final = 20_000  # words that nobody else has heard of
_SKEW: Final = 50  # the larger, the more equal users are
_BEGAN: Final = datetime(2026, 1, 1, tzinfo=UTC)


class Diaries:
    """Memories with numbers from 0, of so many users. seed: others get other texts."""

    def __init__(self, memories: int, users: int, seed: int = 1) -> None:
        self.memories = memories
        self.users = users
        self._seed = seed
        tail = random.Random(seed)
        rare = ("".join(tail.choices(_SYLLABLES, k=tail.randint(2, 4))) for _ in range(_TAIL))
        self._words = [*_COMMON, *rare]
        self._often = list(accumulate(1 / (rank + 2.7) for rank in range(len(self._words))))
        self._names = [f"user-{number:05}" for number in range(users)]
        self._shares = list(accumulate(1 / (rank + _SKEW) for rank in range(users)))

    def __repr__(self) -> str:
        return f"<Diaries memories={self.memories} users={self.users}>"

    def name(self, number: int) -> UUID:
        """The id of an imported memory; they ascend, as those of an export do."""
        spread = (number + 1) * ((1 << 128) // (self.memories + 2))
        return UUID(int=spread, version=4)

    def user(self, number: int) -> str:
        """Whose a memory is."""
        return self._owner(self._dice(number))

    def line(self, number: int) -> bytes:
        """A memory as a line of an import."""
        dice = self._dice(number)
        document = {"user_id": self._owner(dice), **self._fields(dice)}
        at = _BEGAN + timedelta(seconds=number)
        document |= {"id": self.name(number), "created_at": at, "updated_at": at}
        return orjson.dumps(document) + b"\n"

    def draft(self, number: int) -> bytes:
        """A memory as the body that makes it."""
        dice = self._dice(number)
        return orjson.dumps({"user_id": self._owner(dice), **self._fields(dice)})

    def query(self, number: int) -> bytes:
        """A search that finds a memory by some of its words, among others."""
        dice = self._dice(number)
        user, content = self._owner(dice), self._content(dice)
        words = dice.sample(content.split(), k=3)
        dice.shuffle(words)
        return orjson.dumps({"user_id": user, "query": f"what about {' '.join(words)}?"})

    def chunks(self, first: int, last: int, lines: int = 200) -> Iterator[bytes]:
        """Lines of an import, some at a time, from `first` to before `last`."""
        for start in range(first, last, lines):
            yield b"".join(map(self.line, range(start, min(last, start + lines))))

    def _dice(self, number: int) -> random.Random:
        return random.Random(self._seed * 1_000_003 + number)

    def _owner(self, dice: random.Random) -> str:
        return dice.choices(self._names, cum_weights=self._shares)[0]

    def _fields(self, dice: random.Random) -> dict[str, object]:
        return {
            "content": self._content(dice),
            "type": dice.choice(_TYPES),
            "tags": dice.sample(_TAGS, k=dice.randint(0, 3)),
            "metadata": {"source": "chat", "turn": dice.randint(1, 400)},
        }

    def _content(self, dice: random.Random) -> str:
        """8 to 40 words with a name, an amount and mostly an identifier among them."""
        words = dice.choices(self._words, cum_weights=self._often, k=dice.randint(8, 40))
        words[0] = dice.choice(_NAMES)
        words[dice.randrange(1, 8)] = f"{dice.randint(1, 5000)}"
        if dice.random() < 0.7:
            words[-1] = f"{dice.choice(_CODES)}-{dice.randint(0, 10**7):07}"
        return " ".join(words)
