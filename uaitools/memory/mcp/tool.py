"""One thing that an assistant may do with memories, and how it is described to a model."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode

Effect = Literal["reads", "adds", "deletes"]


class Said(Protocol):
    """What a tool answers: a pydantic model that can say itself in words."""

    def text(self) -> str:
        """As a model reads it."""

    def model_dump(self, *, mode: str) -> dict[str, Any]:
        """As a document."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool.

    title: for people. description: for models. asked, said: the models of what it takes and
    answers. effect: what it does to memories; done twice it does nothing more. does: gets the user
    and `asked`; raises ServiceError.
    """

    name: str
    title: str
    description: str
    asked: type[BaseModel]
    said: type[BaseModel]
    effect: Effect
    does: Callable[[str, Any], Awaitable[Said]]


def schema(model: type[BaseModel], mode: JsonSchemaMode = "validation") -> dict[str, Any]:
    """A model as JSON schema, short: names are told once, and no docstrings of ours."""
    made = model.model_json_schema(schema_generator=_Plain, mode=mode)
    for one in (made, *made.get("$defs", {}).values()):
        one.pop("title", None)
        one.pop("description", None)
    return made


class _Plain(GenerateJsonSchema):
    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - pydantic's
        return False
