"""The types of fields that more than one component takes over HTTP. Pure but for pydantic."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, WithJsonSchema

from uaitools.auth.principal import valid_id

USER: Final = r"^[!-~]([ -~]{0,254}[!-~])?$"  # what `valid_id` allows, as JSON schema says it


class Asked(BaseModel):
    """What comes: immutable, and strict about its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def user_id(text: str) -> str:
    """The id of a user, as it stands. Raises ValueError, which says what an id is."""
    if not valid_id(text):
        raise ValueError("is 1 to 256 printable ASCII characters, without blanks at its ends")
    return text


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


User = Annotated[str, AfterValidator(user_id), WithJsonSchema({"type": "string", "pattern": USER})]
WHOLE: Final = BeforeValidator(_whole)
"""JSON has one kind of number: 5.0 is 5. After the bounds, or JSON schema knows none of them."""
