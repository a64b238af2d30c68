"""One instance of a service, as the registry shows it to those who call it. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from uaitools.registry.address import SECURE, valid_address
from uaitools.registry.client.fields import Fields, Garbled
from uaitools.registry.evidence import SERVED, State

INDEX: Final = 2**63 - 1  # revisions and generations at most
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]{0,31}")
_STATES: Final = frozenset(State)


@dataclass(frozen=True, slots=True)
class Member:
    """An instance in a list. generation: rises each time that its id is registered anew."""

    id: str
    name: str
    address: str
    port: int
    scheme: str = "http"
    version: str = ""
    zone: str = ""
    weight: int = 1
    generation: int = 0
    health: State = State.PASSING
    tags: frozenset[str] = frozenset()
    meta: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def host(self) -> str:
        """The address as it stands in URLs: an IPv6 address in brackets."""
        return f"[{self.address}]" if ":" in self.address else self.address

    @property
    def url(self) -> str:
        """Where it is: `http://10.0.0.1:9001`."""
        return f"{self.scheme}://{self.host}:{self.port}"

    @property
    def web(self) -> bool:
        """Whether it speaks HTTP, over TLS or not."""
        return self.scheme in SECURE

    @property
    def secure(self) -> bool:
        """Whether that is over TLS."""
        return SECURE.get(self.scheme, False)

    @property
    def served(self) -> bool:
        """Whether it may be sent anything new: suspect ones only when there is nothing better."""
        return self.health in SERVED and self.weight > 0


def read_member(fields: Fields) -> Member:
    """The member in an instance document. Raises Garbled."""
    address, scheme = fields.text("address"), fields.text("scheme", "http")
    try:
        valid_address(address)
    except ValueError as error:
        raise Garbled(f"the address of an instance is none: {error}") from error
    if not _SCHEME.fullmatch(scheme):
        raise Garbled("the scheme of an instance makes no URL")
    health = fields.text("health")
    return Member(
        id=fields.text("id"),
        name=fields.text("name"),
        address=address,
        port=fields.integer("port", 65_535),
        scheme=scheme,
        version=fields.text("version", ""),
        zone=fields.text("zone", ""),
        weight=fields.integer("weight", 1_000_000, 1),
        generation=fields.integer("generation", INDEX, 0),
        # A newer registry may know states that we do not: who is in one is served last.
        health=State(health) if health in _STATES else State.SUSPECT,
        tags=frozenset(fields.texts("tags")),
        meta=fields.table("meta"),
    )


def member_document(member: Member) -> dict[str, Any]:
    """The JSON of a member, which `read_member` reads."""
    return {
        "id": member.id,
        "name": member.name,
        "address": member.address,
        "port": member.port,
        "scheme": member.scheme,
        "version": member.version,
        "zone": member.zone,
        "weight": member.weight,
        "generation": member.generation,
        "health": member.health.value,
        "tags": sorted(member.tags),
        "meta": dict(member.meta),
    }
