"""Memories, and questions whose relevant memories are known: one JSON object a line.

    {"kind": "memory", "id": "ana-01", "user_id": "ana", "content": "...", "created_at": "..."}
    {"kind": "question", "id": "q01", "user_id": "ana", "query": "...", "relevant": ["ana-01"]}

A memory may have `type` and `session_id`, a question `about`: what kind of question it is, by
which results can be grouped.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, Field, TypeAdapter, ValidationError

from uaitools.config import Model

_TEXT: Final = r"^[^\u0000]*$"  # as the service takes them, and as long
_Text = Annotated[str, Field(min_length=1, max_length=256, pattern=_TEXT)]
_Content = Annotated[str, Field(min_length=1, max_length=65_536, pattern=_TEXT)]
_Query = Annotated[str, Field(min_length=1, max_length=4_096, pattern=_TEXT)]


class LabelledMemory(Model):
    """What a question may be after."""

    kind: Literal["memory"]
    id: _Text
    user_id: _Text
    content: _Content
    created_at: AwareDatetime | None = None
    type: _Text = "fact"
    session_id: _Text | None = None


class LabelledQuestion(Model):
    """What a user asks, and the ids of the memories that answer it, all of that user."""

    kind: Literal["question"]
    id: _Text
    user_id: _Text
    query: _Query
    relevant: Annotated[tuple[_Text, ...], Field(min_length=1)]
    about: _Text = "question"


@dataclass(frozen=True, slots=True)
class Labelled:
    """A set of memories and questions."""

    memories: tuple[LabelledMemory, ...]
    questions: tuple[LabelledQuestion, ...]

    def __repr__(self) -> str:
        return f"<Labelled memories={len(self.memories)} questions={len(self.questions)}>"


_LINE: Final[TypeAdapter[LabelledMemory | LabelledQuestion]] = TypeAdapter(
    Annotated[LabelledMemory | LabelledQuestion, Field(discriminator="kind")]
)


def parse(lines: Iterable[bytes | str]) -> Labelled:
    """Read a set. Raises ValueError with the line: no such object, an id twice or of nothing.

    There are a memory and a question at least.
    """
    memories: dict[str, LabelledMemory] = {}
    questions: dict[str, LabelledQuestion] = {}
    places: dict[str, int] = {}  # lines of questions
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            one = _LINE.validate_json(line)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"][1:])) or "line"
            raise ValueError(f"line {number}: {where}: {first['msg']}") from error
        known = memories if one.kind == "memory" else questions
        if one.id in known:
            raise ValueError(f"line {number}: there is a {one.kind} {one.id!r} already")
        if one.kind == "memory":
            memories[one.id] = one
        else:
            questions[one.id] = one
            places[one.id] = number
    _check(memories, questions.values(), places)
    return Labelled(tuple(memories.values()), tuple(questions.values()))


def _check(
    memories: Mapping[str, LabelledMemory],
    questions: Collection[LabelledQuestion],
    places: Mapping[str, int],
) -> None:
    if not questions:
        raise ValueError('there is no question: a line with "kind": "question", see docs/memory.md')
    for question in questions:
        for name in question.relevant:
            memory = memories.get(name)
            if memory is None or memory.user_id != question.user_id:
                raise ValueError(
                    f"line {places[question.id]}: relevant: user {question.user_id!r} has no memory"
                    f" {name!r} in the file"
                )


def sample() -> Labelled:
    """The set that comes with the package: 66 memories of three users, and 40 questions.

    Two users chat, and what is worth remembering stands between requests; of the third, sentences
    were extracted. Questions ask for facts, preferences and identifiers, in other words than the
    memory's, and for what has changed since.
    """
    text = files(__package__).joinpath("sample.ndjson").read_bytes()
    return parse(text.splitlines())
