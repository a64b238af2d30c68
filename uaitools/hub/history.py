"""Pages of a channel's history. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from uaitools.hub.frames import payload
from uaitools.hub.place import Place
from uaitools.hub.ring import Ring

BYTES: Final = 256 * 1024  # of a page at most, or one message


@dataclass(frozen=True, slots=True)
class Page:
    """Messages, as JSON, the oldest first, up to `place`.

    lost: how many before them are not kept any more, None when nobody can tell: the history was
    lost. more: there are newer ones.
    """

    messages: Sequence[bytes]
    place: Place
    lost: int | None
    more: bool


def read_page(ring: Ring, since: Place | None, limit: int) -> Page:
    """The newest messages, or the first ones after a place: `limit` of them, or BYTES."""
    if since is None or since.epoch != ring.epoch or since.offset > ring.head:
        begin = max(ring.base, ring.head - limit)
        lost = 0 if since is None else None
    else:
        begin, lost = max(ring.base, since.offset), ring.lost(since.offset)
    taken: list[bytes] = []
    size = 0
    frames = ring.after(begin, limit)
    for frame in frames if since is not None else reversed(frames):
        size += len(frame)
        if size > BYTES and taken:
            break
        taken.append(payload(frame))
    if since is None:
        taken.reverse()
        return Page(taken, Place(ring.epoch, ring.head), lost, more=False)
    upto = begin + len(taken)
    return Page(taken, Place(ring.epoch, upto), lost, more=upto < ring.head)
