"""One client: who it is, what it is subscribed to, and what it says, whatever socket it has."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Container
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Protocol

from uaitools import log
from uaitools.auth.principal import GUEST, Principal
from uaitools.errors import ServiceError
from uaitools.hub.channel import Channel, Subscription
from uaitools.hub.closing import MISTAKES, RATE, SLOW, Closing
from uaitools.hub.commands import BadCommand, Command, CommandError, read_command, read_id
from uaitools.hub.deflate import deflated
from uaitools.hub.message import frame_text
from uaitools.hub.pace import Pace
from uaitools.hub.place import Place
from uaitools.tasks import spawn

if TYPE_CHECKING:
    from uaitools.auth.credential import Credential
    from uaitools.hub.sockets.port import Socket

# Commands of one connection that wait for the one before: its burst, within these bounds.
WAITING: Final = (64, 1024)
_KEPT: Final = 8  # times the largest command: bytes of those that wait
FILTERS: Final = 16 * 1024  # bytes of all filters of one connection; compiled they take more
REPLIES: Final = 512 * 1024  # bytes that may wait to be sent to a client; then it goes
_MISTAKES: Final = Pace(10 / 60, 10)

_log = log.get_logger(__name__)


class Host(Protocol):
    """What a session belongs to."""

    @property
    def pace(self) -> Pace:
        """Of commands."""

    @property
    def largest(self) -> int:
        """Bytes of a command."""

    @property
    def added(self) -> Container[str]:
        """Commands that the application has added."""

    def perform(self, session: Session, command: Command) -> Awaitable[dict[str, Any]]:
        """Do what a command says; the reply. Raises CommandError and ServiceError."""

    def entered(self, session: Session) -> None:
        """Its connection has begun."""

    def resume(self, session: Session) -> None:
        """It can be written to again."""

    def ended(self, closing: Closing) -> None:
        """It is disconnected."""

    def left(self, session: Session) -> None:
        """Its connection has ended."""


class Session:
    """A connection with what belongs to it: a sink of channels, a receiver of its socket.

    id: of the connection. address: the client's. since: when it came, by the loop's clock.
    credential: kept where it may be revoked. judged: in which generation of keys it was good.
    pinged: when it was last asked whether it lives. expiring: channels that it has by a token, and
    when that ends, in unix seconds.
    """

    __slots__ = (
        "_ended",
        "_full",
        "_gone",
        "_host",
        "_kept",
        "_mistakes_full",
        "_room",
        "_waiting",
        "_working",
        "address",
        "credential",
        "expiring",
        "id",
        "judged",
        "pinged",
        "principal",
        "since",
        "socket",
        "subscriptions",
    )

    socket: Socket

    def __init__(
        self,
        host: Host,
        name: str,
        principal: Principal,
        address: str,
        now: float,
    ) -> None:
        self.id = name
        self.principal = principal
        self.address = address
        self.since = now
        self.pinged = 0.0
        self.credential: Credential | None = None
        self.judged = 0
        self.expiring: dict[str, float] | None = None
        self.subscriptions: dict[str, Subscription] = {}
        self._host = host
        self._ended = False
        self._gone = False
        self._kept = 0  # characters of the commands that wait
        self._full = 0.0  # of commands, see Pace
        self._mistakes_full = 0.0
        self._room: asyncio.Future[None] | None = None
        # While commands are done: as they came, because what is read of them takes more memory.
        self._waiting: deque[str | BadCommand] | None = None
        self._working: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Session {self.id} user={self.user} channels={len(self.subscriptions)}>"

    @property
    def user(self) -> str | None:
        """Whose it is, where that is known."""
        return self.principal.user

    @property
    def admitted(self) -> bool:
        """Whether it has a credential, or none is needed."""
        return self.principal != GUEST

    @property
    def filters(self) -> int:
        """Bytes of the filters of its subscriptions, as JSON."""
        return sum(len(one.group.key) for one in self.subscriptions.values())

    @property
    def kept(self) -> int:
        """Bytes kept for it, as far as they are known."""
        return self.socket.kept + self._kept + self.filters

    @property
    def lag(self) -> int:
        """Messages that it has not got."""
        return sum(one.lag for one in self.subscriptions.values())

    # -- what it gets: see channel.Sink -----------------------------------------------------

    @property
    def paused(self) -> bool:
        """It does not read as fast as it is written to."""
        return self.socket.paused

    def deliver(self, data: bytes) -> None:
        """Write framed messages."""
        self.socket.write(data)

    def notice(self, frame: bytes) -> None:
        """Write what can be done without, if it reads."""
        if not self.paused:
            self.socket.write(frame)

    def gap(self, channel: Channel, first: int, last: int) -> None:
        """Say that it does not get some messages."""
        self.say({"type": "gap", "channel": channel.name, "from": first, "to": last})

    def reset(self, channel: Channel) -> None:
        """Say that a channel's history was lost."""
        place = Place(channel.ring.epoch, channel.ring.head)
        self.say({"type": "reset", "channel": channel.name, **place.document})

    def end(self, closing: Closing) -> None:
        """Disconnect it."""
        if self._gone and self._working is not None:
            self._working.cancel()  # what it said before it went takes too long
        elif not self._ended:
            self._ended = True
            self._forget()
            self._host.ended(closing)
            self.socket.end(closing)

    def say(self, document: object) -> None:
        """Write a reply or a notice. It is never dropped: who reads none of them goes."""
        frame, socket = frame_text(document), self.socket
        socket.write(deflated(frame) if socket.deflate else frame)
        if self.socket.kept > REPLIES:
            self.end(SLOW)

    # -- what it says: see socket.Receiver --------------------------------------------------

    def opened(self) -> None:
        """It can be written to."""
        self._host.entered(self)

    def text(self, text: str) -> None:
        """Do a command, after those before it."""
        try:
            self._check(text)
        except BadCommand as mistake:
            self._add(mistake)
        else:
            self._add(text)

    def binary(self, _data: bytes) -> None:
        """Nothing that comes in bytes is a command."""
        self._add(BadCommand("bad_json", "a command is JSON in a text message"))

    def resumed(self) -> None:
        """It reads again."""
        self._make_room()
        self._host.resume(self)

    def lost(self) -> None:
        """It has gone. What it said before is still done, unless it was disconnected."""
        if self._ended or self._working is None:
            if self._working is not None:
                self._working.cancel()  # the hub has ended it, whatever it waits for
            self._ended = True
            self._forget()
            self._host.left(self)
        else:
            self._ended = self._gone = True
            self._make_room()

    def _forget(self) -> None:
        """Do none of the commands that wait."""
        if self._waiting is not None:
            self._waiting.clear()
        self._kept = 0
        self._make_room()

    def _add(self, said: str | BadCommand) -> None:
        if self._ended:
            return
        size = len(said) if isinstance(said, str) else 0
        if self._waiting is None:
            self._waiting = deque((said,))
            self._working = spawn(self._work(self._waiting), name="do commands")
        elif self._has_room(size):
            self._waiting.append(said)
        else:
            name = read_id(said) if isinstance(said, str) else said.id
            self._complain(BadCommand("too_many", "commands before this one wait", name))
            return
        self._kept += size

    def _has_room(self, size: int) -> bool:
        """Whether a command of that size may wait for those before it."""
        waiting = 0 if self._waiting is None else len(self._waiting)
        least, largest = WAITING
        most = min(largest, max(least, self._host.pace.burst))
        return waiting < most and self._kept + size <= _KEPT * self._host.largest

    def _check(self, text: str) -> None:
        """Raises BadCommand for what is too long, or too often."""
        host, pace = self._host, self._host.pace
        # An upper bound of its bytes is enough for nearly all.
        if len(text) * 4 > host.largest and len(text.encode()) > host.largest:
            raise BadCommand("too_long", f"a command has at most {host.largest} bytes")
        full = pace.admit(self._full, monotonic())
        if full is None:
            reason = f"at most {pace.rate:g} commands a second"
            raise BadCommand("too_many", reason, read_id(text))
        self._full = full

    async def _work(self, waiting: deque[str | BadCommand]) -> None:
        try:
            while waiting:
                await self._turn()
                if not waiting:
                    break
                said = waiting[0]
                if isinstance(said, BadCommand):
                    self._complain(said)
                else:
                    await self._read(said)
                if waiting:  # nothing waits for one who was disconnected
                    waiting.popleft()
                    self._kept -= len(said) if isinstance(said, str) else 0
        finally:
            self._waiting = self._working = None
            if self._gone:
                self._host.left(self)

    async def _read(self, text: str) -> None:
        try:
            command = read_command(text, self._host.added)
        except BadCommand as mistake:
            self._complain(mistake)
        else:
            await self._do(command)

    async def _turn(self) -> None:
        """Let others have the loop, and wait until replies can be sent."""
        await asyncio.sleep(0)
        while self.paused and not self._ended:
            self._room = asyncio.get_running_loop().create_future()
            await self._room

    def _make_room(self) -> None:
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)

    async def _do(self, command: Command) -> None:
        try:
            reply = await self._host.perform(self, command)
            self.say({"id": command.id, **reply})
        except BadCommand as mistake:
            mistake.id = command.id
            self._complain(mistake)
        except CommandError as error:
            self._refuse(error.code, str(error), command.id)
        except ServiceError as error:
            code = "unavailable" if error.code == 503 else "internal"
            self._refuse(code, error.message, command.id)
        except Exception as error:  # a handler of the application's may raise anything
            _log.error("command failed", type=command.type, connection=self.id, exc_info=error)
            self._refuse("internal", "the hub failed; its log says why", command.id)

    def _complain(self, mistake: BadCommand) -> None:
        """Say what is wrong; who goes on like that is disconnected."""
        self._refuse(mistake.code, str(mistake), mistake.id)
        full = _MISTAKES.admit(self._mistakes_full, monotonic())
        if full is None:
            self.end(RATE if mistake.code == "too_many" else MISTAKES)
        else:
            self._mistakes_full = full

    def _refuse(self, code: str, message: str, command: int | None) -> None:
        reply: dict[str, Any] = {"type": "error", "code": code, "message": message}
        self.say(reply if command is None else {"id": command, **reply})
