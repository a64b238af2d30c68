"""The whole table as a document, and back: where a log begins that does not begin with nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from uaitools.registry.entry import Entry, Moment, Sight
from uaitools.registry.events import decode_instance, encode_instance
from uaitools.registry.evidence import Damper, State, Testimony, Word
from uaitools.registry.model import Load
from uaitools.registry.service import Cause, Service
from uaitools.registry.table import Table, TablePolicy

# Written as they are; the others have forms of their own.
_PLAIN: Final = (
    "registered", "heard", "heard_at", "maintenance", "drained_by", "protected", "revision",
    "cause", "since", "due", "told", "bad_since", "loaded_at", "sampled_at", "revised",
)  # fmt: skip


def dump(table: Table) -> dict[str, Any]:
    """Everything about a table but the deltas, and who has gone: who is behind lists again."""
    return {
        "epoch": table.epoch,
        "now": table.now,
        "fresh_until": table.fresh_until,
        "generation": table.generation,
        "policy": [table.policy.removal, table.policy.instances],
        "floor": table.floor,
        "walls": table.walls,
        "services": [
            [service.name, service.revision, service.gone] for service in table.services.values()
        ],
        "entries": [_dump_entry(entry) for entry in table],
    }


def load(document: Mapping[str, Any]) -> Table:
    """The table that `dump` wrote. Raises ValueError for anything else."""
    try:
        table = Table(
            document["epoch"],
            now=document["now"],
            fresh_until=document["fresh_until"],
            policy=TablePolicy(*document["policy"]),
        )
        table.generation = document["generation"]
        table.floor = document["floor"]
        table.walls = [(at, shift) for at, shift in document["walls"]]
        for name, revision, gone in document["services"]:
            service = Service(name, revision)
            service.gone = None if gone is None else Cause(gone)
            table.remember(service)
        for one in document["entries"]:
            table.restore(_load_entry(one))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a snapshot: {error!r}") from error
    return table


def _dump_entry(entry: Entry) -> dict[str, Any]:
    document = {name: getattr(entry, name) for name in _PLAIN}
    document["instance"] = encode_instance(entry.instance)
    if entry.registered_as != entry.instance:
        document["registered_as"] = encode_instance(entry.registered_as)
    document["load"] = asdict(entry.load)
    document["said"] = [[one.word.value, one.reason] for one in entry.said]
    document["sight"] = [entry.sight.word.value, entry.sight.reason, entry.sight.until]
    document["damper"] = [entry.damper.value, entry.damper.at, entry.damper.until]
    document["state"] = entry.state.value
    document["history"] = [[one.at, one.state.value, one.cause] for one in entry.history]
    return document


def _load_entry(document: Mapping[str, Any]) -> Entry:
    entry = Entry(decode_instance(document["instance"]), document["registered"])
    if "registered_as" in document:
        entry.registered_as = decode_instance(document["registered_as"])
    for name in _PLAIN:
        setattr(entry, name, document[name])
    entry.load = Load(**document["load"])
    entry.said = [Testimony(Word(word), reason) for word, reason in document["said"]]
    word, reason, until = document["sight"]
    entry.sight = Sight(Word(word), reason, until)
    entry.damper = Damper(*document["damper"])
    entry.state = State(document["state"])
    entry.history = [Moment(at, State(state), cause) for at, state, cause in document["history"]]
    return entry
