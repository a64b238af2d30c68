"""The `[registry.client]` table: how a component finds the registry, and is found there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field

from uaitools.config import Model
from uaitools.registry.address import valid_address
from uaitools.registry.client.registries import REGISTRY, base_url
from uaitools.secret import Secret

_NAME: Final = re.compile(r"[A-Za-z0-9._:-]{1,128}")


def _one_or_several(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _named(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError("has 1 to 128 of A-Z a-z 0-9 . _ : -")
    return name


Name = Annotated[str, AfterValidator(_named)]
Zone = Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[^\x00-\x1f\x7f]*$")]


class RegistryClientConfig(Model):
    """The `[registry.client]` table.

    url: of the registry, or several that hold the same. token: with scopes registry:read and
    registry:write, where the registry asks for one. zone: where this runs; callers prefer what is
    near. name: by which drains wait for this process as a watcher, made up if not given.
    address: under which others reach this component; it registers itself when it has one.
    cache: a file for the last known lists, for starts without a registry.
    """

    model_config = ConfigDict(hide_input_in_errors=True)

    url: Annotated[
        tuple[Annotated[str, AfterValidator(base_url)], ...],
        BeforeValidator(_one_or_several),
        Field(min_length=1),
    ] = (REGISTRY,)
    token: Annotated[Secret, Field(min_length=1)] | None = None
    zone: Zone | None = None
    name: Name | None = None
    address: Annotated[str, AfterValidator(valid_address)] | None = None
    cache: Path | None = None

    @property
    def credential(self) -> str | None:
        """The token as clients take it."""
        return None if self.token is None else self.token.get_secret_value()


class RegistryTable(Model):
    """The `[registry]` table, of which `client` is meant for all; the rest is the registry's."""

    model_config = ConfigDict(extra="ignore")

    client: RegistryClientConfig | None = None

    @property
    def address(self) -> str | None:
        """Where the registry is to say that this component is."""
        return None if self.client is None else self.client.address

    def at(self, address: str | None) -> RegistryTable:
        """The same with another address."""
        if self.client is None:
            return self
        client = self.client.model_copy(update={"address": address})
        return self.model_copy(update={"client": client})
