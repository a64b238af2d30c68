"""A channel: its last messages, and who gets them, those together who want the same. Pure.

A subscription has no queue. It knows the offset up to which its subscriber has got the channel, and
whoever was slow is caught up from the ring, or told which messages he does not get any more.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Protocol

from uaitools.hub.closing import SLOW, Closing
from uaitools.hub.filters import Filter
from uaitools.hub.place import Place
from uaitools.hub.ring import SIZE, Ring

_NONE: Final = (-1, -1, b"", -1)
_EVERYTHING: Final = b""
_SPARE: Final = 64  # offsets that a group may know beside those of the ring
_TOLD: Final = 256  # messages whose data is kept while they are told


class Policy(enum.Enum):
    """What becomes of a subscriber who was slow, once he reads again.

    disconnect    he gets everything; when something of it is not kept any more he is disconnected
    resume        everything that is kept
    drop_old      the newest, `backlog` at most
    latest        the newest one
    drop_new      nothing of what came meanwhile

    What he does not get is said to him, as a gap.
    """

    DISCONNECT = "disconnect"
    RESUME = "resume"
    DROP_OLD = "drop_old"
    LATEST = "latest"
    DROP_NEW = "drop_new"


@dataclass(frozen=True, slots=True)
class ChannelPolicy:
    """How a channel is kept. size: messages; age: seconds; backlog: see Policy.DROP_OLD."""

    slow: Policy = Policy.RESUME
    size: int = SIZE
    age: float = 300.0
    backlog: int = 32

    @property
    def kept_for_slow(self) -> int:
        """How many of the newest messages somebody gets who was slow."""
        match self.slow:
            case Policy.DROP_NEW:
                return 0
            case Policy.LATEST:
                return 1
            case Policy.DROP_OLD:
                return self.backlog
            case _:
                return self.size


class Sink(Protocol):
    """Where a subscriber's messages go."""

    @property
    def paused(self) -> bool:
        """He does not read as fast as he is written to."""

    def deliver(self, data: bytes) -> None:
        """Write framed messages."""

    def notice(self, frame: bytes) -> None:
        """Write a framed notice, if he reads; it is no message."""

    def gap(self, channel: Channel, first: int, last: int) -> None:
        """Say that he does not get the messages with these offsets."""

    def reset(self, channel: Channel) -> None:
        """Say that the history was lost, and that he has the newest message of what is now."""

    def end(self, closing: Closing) -> None:
        """Disconnect him."""


class Subscription:
    """What one subscriber has got of a channel.

    deflate: he reads compressed frames. slow: he was paused since it was last written. ring: whose
    offset this is.
    """

    __slots__ = (
        "_omitted",
        "channel",
        "deflate",
        "ended",
        "group",
        "offset",
        "ring",
        "sink",
        "slow",
    )

    def __init__(
        self, sink: Sink, channel: Channel, group: Group, offset: int, *, deflate: bool
    ) -> None:
        self.sink = sink
        self.deflate = deflate
        self.channel = channel
        self.group = group
        self.ring = channel.ring
        self.offset = offset
        self.slow = False
        self.ended = False
        self._omitted: set[int] | None = None

    def __repr__(self) -> str:
        return f"<Subscription {self.channel.name} offset={self.offset} slow={self.slow}>"

    @property
    def place(self) -> Place:
        """Up to where he has got the channel."""
        return Place(self.ring.epoch, self.offset)

    @property
    def behind(self) -> bool:
        """Whether there is something to say to him."""
        return self.ring is not self.channel.ring or self.offset < self.channel.ring.head

    @property
    def lag(self) -> int:
        """Messages that he has not got."""
        return self.channel.ring.head - self.offset if self.ring is self.channel.ring else 0

    def omit(self, offset: int) -> None:
        """Leave out a message that is not his to get."""
        if self.ring is not self.channel.ring:
            return  # he begins anew after it
        if self._omitted is None:
            self._omitted = set()
        self._omitted.add(offset)

    def begin_anew(self) -> None:
        """Go on with the newest message of another history."""
        self.ring, self.offset = self.channel.ring, self.channel.ring.head
        self.slow, self._omitted = False, None

    def take(self) -> bytes:
        """What comes next for him, as one piece, which he has got now."""
        ring, group = self.channel.ring, self.group
        if group.filters:
            self.channel.judge(group)
        if self._omitted is None:
            data, self.offset = group.piece(ring, self.offset, self.deflate)
            return data
        without = self._omitted | group.unwanted
        data, self.offset = ring.piece(self.offset, without, deflate=self.deflate)
        self._omitted = {one for one in self._omitted if one > self.offset} or None
        return data


class Group:
    """Subscriptions that want the same messages: for each of these that is found out once.

    It is found out when the first of them is written to, so that the filters of thousands take
    their time one by one. filters: some messages are not wanted.
    """

    __slots__ = ("_filter", "_pieces", "filters", "members", "since", "unwanted", "upto")

    def __init__(self, wanted: Filter | None, head: int) -> None:
        # Of what came after the first, up to the second, it is known whether it is wanted.
        self.since = self.upto = head
        self.filters = wanted is not None
        self.members: dict[Subscription, None] = {}
        self._filter = wanted
        self.unwanted: set[int] = set()  # offsets
        # offset, head: what follows, and up to where; plain, and compressed
        self._pieces = [_NONE, _NONE]

    def __repr__(self) -> str:
        return f"<Group {self._filter} members={len(self.members)}>"

    @property
    def key(self) -> bytes:
        """Equal for those that want the same."""
        return self._filter.key if self._filter is not None else _EVERYTHING

    def judge(self, offset: int, data: object, ring: Ring) -> None:
        """Find out whether a message that the ring has is wanted."""
        if self._filter is None:
            return
        if not self._filter.wants(data):
            self.unwanted.add(offset)
        if len(self.unwanted) > 2 * len(ring) + _SPARE:
            self.unwanted = {one for one in self.unwanted if one > ring.base}

    def renew(self, head: int) -> None:
        """Forget what was found out: the history is another one."""
        self.since = self.upto = head
        self.unwanted.clear()
        self._pieces = [_NONE, _NONE]

    def piece(self, ring: Ring, offset: int, deflate: bool) -> tuple[bytes, int]:
        """See Ring.piece: made once for all who have got as far, one after the other."""
        at, head, data, upto = self._pieces[deflate]
        if at != offset or head != ring.head:
            data, upto = ring.piece(offset, self.unwanted, deflate=deflate)
            self._pieces[deflate] = (offset, ring.head, data, upto)
        return data, upto


class Channel:
    """One channel. read: the `data` of a framed message, for filters that come later than it.

    users: connections of each that are here. used: when it was last of use to anybody.
    """

    __slots__ = ("_data", "_groups", "_read", "name", "policy", "ring", "used", "users")

    def __init__(
        self, name: str, policy: ChannelPolicy, ring: Ring, read: Callable[[bytes], Any]
    ) -> None:
        self.name = name
        self.policy = policy
        self.ring = ring
        self._read = read
        self.users: dict[str, int] = {}
        self.used = 0.0
        self._groups: dict[bytes, Group] = {}
        self._data: dict[int, Any] = {}  # of messages that are being told, by offset

    def __repr__(self) -> str:
        return f"<Channel {self.name} {self.ring!r} subscriptions={len(self)}>"

    def __len__(self) -> int:
        return sum(len(group.members) for group in self._groups.values())

    def __iter__(self) -> Iterator[Subscription]:
        for group in self._groups.values():
            yield from group.members

    @property
    def filtered(self) -> bool:
        """Whether anybody wants only some messages."""
        return any(group.filters for group in self._groups.values())

    @property
    def busy(self) -> bool:
        """Whether anybody subscribes."""
        return bool(self._groups)

    def recover(self, place: Place | None) -> tuple[bool | None, int | None]:
        """Whether everything after a place is kept, None for no place; and where to go on.

        The latter is what `subscribe` takes.
        """
        if place is None:
            return None, None
        ring = self.ring
        if place.epoch == ring.epoch and ring.base <= place.offset <= ring.head:
            return True, place.offset
        return False, None

    def append(self, frame: bytes, data: object, now: float) -> int:
        """Keep a message; its offset. Who gets it is not written to here, see hub.fanout.

        data: what it says, where the channel is `filtered`.
        """
        offset = self.ring.append(frame, now)
        if self.filtered:
            self._data[offset] = data
            if len(self._data) > _TOLD:
                del self._data[next(iter(self._data))]
        return offset

    def judge(self, group: Group) -> None:
        """Have a group know of all messages up to the newest whether they are wanted."""
        begin = max(group.upto, self.ring.base)
        for offset, frame in enumerate(self.ring.after(begin), start=begin + 1):
            data = self._data[offset] if offset in self._data else self._read(frame)
            group.judge(offset, data, self.ring)
        group.upto = self.ring.head

    def told(self) -> None:
        """All who read have been written to."""
        self._data.clear()

    def subscribe(
        self, sink: Sink, wanted: Filter | None, offset: int | None, *, deflate: bool = False
    ) -> Subscription:
        """Give a sink what comes after an offset, after the newest message unless given.

        deflate: the sink takes compressed frames, see hub.deflate.
        """
        key = wanted.key if wanted is not None else _EVERYTHING
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = Group(wanted, self.ring.head)
        at = self.ring.head if offset is None else offset
        self._judge_since(group, at)
        subscription = Subscription(sink, self, group, at, deflate=deflate)
        group.members[subscription] = None
        return subscription

    def _judge_since(self, group: Group, offset: int) -> None:
        """Have a group know of all messages after an offset whether they are wanted."""
        begin, end = max(offset, self.ring.base), group.since
        if not group.filters or begin >= end:
            return
        earlier = self.ring.after(begin, end - begin)
        for number, frame in enumerate(earlier, start=begin + 1):
            group.judge(number, self._read(frame), self.ring)
        group.since = begin

    def unsubscribe(self, subscription: Subscription) -> None:
        """Give it nothing more."""
        group, subscription.ended = subscription.group, True
        group.members.pop(subscription, None)
        if not group.members:
            self._groups.pop(group.key, None)

    def catch_up(self, subscription: Subscription) -> bool:
        """Write what a subscriber has not got, as far as one piece goes; whether that was all.

        A sink that is paused gets nothing; if it has lost too much it is disconnected.
        """
        ring, sink = self.ring, subscription.sink
        if subscription.ended:
            return True
        if subscription.ring is not ring:
            return self._begin_anew(subscription)
        behind = subscription.slow or ring.base > subscription.offset
        if behind and not self._admit(subscription):
            return True
        if sink.paused:
            subscription.slow = True
            return True
        data = subscription.take()
        if data:
            sink.deliver(data)
        return subscription.offset == ring.head

    def restart(self, ring: Ring) -> None:
        """Go on with another history; each subscriber hears of it when he is caught up."""
        self.ring = ring
        self._data.clear()
        for group in self._groups.values():
            group.renew(ring.head)

    def _begin_anew(self, subscription: Subscription) -> bool:
        sink = subscription.sink
        if sink.paused:
            subscription.slow = True
            return True
        subscription.begin_anew()
        sink.reset(self)
        return True

    def _admit(self, subscription: Subscription) -> bool:
        """Whether one who was slow may go on; he is told what he does not get any more."""
        ring, sink = self.ring, subscription.sink
        lost = ring.lost(subscription.offset)
        if lost and self.policy.slow is Policy.DISCONNECT:
            sink.end(SLOW)
            return False
        if sink.paused:
            return True  # what he misses is said to him when he reads again, in one
        subscription.slow = False
        lost = max(lost, ring.head - self.policy.kept_for_slow - subscription.offset)
        if lost > 0:
            first, subscription.offset = subscription.offset + 1, subscription.offset + lost
            sink.gap(self, first, subscription.offset)
        return True
