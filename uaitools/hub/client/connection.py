"""One WebSocket to the hub, from its handshake to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from time import monotonic
from typing import Any, Final

import aiohttp
import orjson
from aiohttp import WSMsgType

from uaitools.hub.client.errors import Garbled, Refused
from uaitools.hub.client.messages import Delivered, Move, Notice, Reply, Welcome, read
from uaitools.hub.client.timing import PING, Timing
from uaitools.hub.closing import CLOSINGS, NORMAL
from uaitools.hub.pace import Pace
from uaitools.tasks import spawn

LARGEST: Final = 16 * 1024 * 1024  # bytes of one message of the hub
_SHARE: Final = 0.8  # of the hub's burst: what is given in time may arrive all at once
_LONGEST: Final = 300.0  # seconds that a hub, or what stands before it, may have us wait
_CLOSE: Final = 1.0  # seconds that a hub has to answer our goodbye
_REFUSED: Final = (401, 403)
# A connection that was cut looks like one that was closed with 1000, which no hub sends by itself.
_FINAL: Final = {one.code for one in CLOSINGS if not one.reconnect} - {NORMAL.code}


class Lost(Exception):
    """There is no connection (any more). The text says why.

    code: of the close frame, if any. final: do not come again. pause: seconds that the hub asks to
    be left alone for.
    """

    def __init__(
        self, reason: str, *, code: int = 0, final: bool = False, pause: float = 0.0
    ) -> None:
        super().__init__(reason)
        self.code = code
        self.final = final
        self.pause = pause


Then = Callable[[Reply], None]
Receive = Callable[["Connection", Notice | Delivered], Awaitable[None] | None]


class Connection:
    """Commands go out, what comes is read and handed on in its order.

    number: higher than those of earlier ones. receive: called with everything that is no reply;
    what it returns is waited for before more is read. over: done when it has ended. moves: done
    when the hub asks to connect elsewhere, with the seconds until then.
    """

    __slots__ = (
        "_full",
        "_order",
        "_pace",
        "_pending",
        "_reading",
        "_receive",
        "_silence",
        "_socket",
        "_timing",
        "largest",
        "moves",
        "number",
        "over",
        "welcomed",
    )

    def __init__(
        self,
        number: int,
        socket: aiohttp.ClientWebSocketResponse,
        receive: Receive,
        timing: Timing,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.number = number
        self.largest: int | None = None
        self.welcomed = False
        self.over: asyncio.Future[Lost] = loop.create_future()
        self.moves: asyncio.Future[float] = loop.create_future()
        self._socket = socket
        self._receive = receive
        self._timing = timing
        self._silence = PING + timing.grace
        self._pace = _pace(50.0, 100)  # until its welcome
        self._full = 0.0
        self._order = asyncio.Lock()
        self._pending: dict[int, tuple[asyncio.Future[Reply | None], Then | None]] = {}
        self._reading = spawn(self._run(), name=f"read from the hub, connection {number}")

    def __repr__(self) -> str:
        state = "over" if self.over.done() else "open"
        return f"<Connection {self.number} {state} pending={len(self._pending)}>"

    async def ask(self, id_: int, command: Mapping[str, Any], then: Then | None = None) -> Reply:
        """Give a command and wait for its reply. Raises Lost, Refused if it is too long.

        then: called with the reply before anything that comes after it is handed on.
        """
        text = orjson.dumps({"id": id_, **command})
        if self.largest is not None and len(text) > self.largest:
            raise Refused("too_long", f"a command has at most {self.largest} bytes")
        if self.over.done():
            raise self.over.result()
        answer: asyncio.Future[Reply | None] = asyncio.get_running_loop().create_future()
        self._pending[id_] = answer, then
        try:
            await self._turn()
            await self._socket.send_str(text.decode())
            reply = await answer
        except (aiohttp.ClientError, OSError) as error:
            raise Lost(_text(error)) from error
        finally:
            del self._pending[id_]
        if reply is None:
            raise self.over.result()
        return reply

    async def _turn(self) -> None:
        """Wait until the hub takes another command: it bounds how many come."""
        async with self._order:
            delay, self._full = self._pace.delay(self._full, monotonic())
            if delay > 0:
                await asyncio.wait({self.over}, timeout=delay)

    async def idle(self) -> None:
        """Wait until every command has its reply, or for the end."""
        waiting = [answer for answer, _ in self._pending.values()]
        if waiting:
            await asyncio.wait(waiting)

    async def close(self) -> None:
        """End it, if it has not ended."""
        self._reading.cancel()
        await asyncio.wait({self._reading})

    async def _run(self) -> None:
        lost = Lost("it was closed by this client")
        try:
            await self._read()
        except Lost as error:
            lost = error
        except Garbled as error:
            lost = Lost(error.message)
        except (aiohttp.ClientError, OSError) as error:  # of a pong
            lost = Lost(_text(error))
        except TimeoutError:
            lost = Lost(f"nothing was heard for {self._silence:g} s")
        finally:
            self.over.set_result(lost)
            for answer, _ in self._pending.values():
                if not answer.done():
                    answer.set_result(None)
            await self._socket.close()

    async def _read(self) -> None:
        """Hand on what comes. Raises Lost, Garbled, and TimeoutError when nothing comes."""
        loop, socket = asyncio.get_running_loop(), self._socket
        async with asyncio.timeout(self._silence) as patience:
            while True:
                message = await socket.receive()
                if message.type is WSMsgType.TEXT:
                    waiting = self._take(message.data)
                    if waiting is not None:
                        # Nobody reads: what the hub says meanwhile is not heard, pings included.
                        patience.reschedule(None)
                        await waiting
                elif message.type is WSMsgType.PING:
                    await socket.pong(message.data)
                elif message.type is not WSMsgType.PONG:
                    raise _ending(socket, message)
                patience.reschedule(loop.time() + self._silence)

    def _take(self, text: str) -> Awaitable[None] | None:
        said = read(text)
        match said:
            case None:
                return None
            case Reply():
                self._answer(said)
                return None
            case Welcome():
                self.welcomed = True
                self.largest = said.largest
                self._pace = _pace(said.rate, said.burst)
                self._silence = said.ping + self._timing.grace
            case Move() if not self.moves.done():
                self.moves.set_result(said.after)
        return self._receive(self, said)

    def _answer(self, reply: Reply) -> None:
        answer, then = self._pending.get(reply.id, (None, None))
        if answer is None or answer.done():
            return  # nobody waits for it any more
        if then is not None:
            then(reply)
        answer.set_result(reply)


def _pace(rate: float, burst: int) -> Pace:
    """What we allow ourselves of what the hub allows."""
    return Pace(rate, max(1, int(burst * _SHARE)))


def _ending(socket: aiohttp.ClientWebSocketResponse, message: aiohttp.WSMessage) -> Lost:
    """Why there is no text any more."""
    match message.type:
        case WSMsgType.BINARY:
            return Lost("the hub cannot be understood: it sends what is no text")
        case WSMsgType.CLOSE:
            code = int(message.data)
            reason = f"closed with code {code} {message.extra or ''}".rstrip()
            return Lost(reason, code=code, final=code in _FINAL)
        case WSMsgType.ERROR:
            return Lost(_text(socket.exception() or message.data))
        case _:
            error = socket.exception()
            return Lost("it was cut" if error is None else _text(error))


def _text(error: object) -> str:
    return str(error) or type(error).__name__


async def connect(
    session: aiohttp.ClientSession, url: str, token: str | None, timing: Timing
) -> aiohttp.ClientWebSocketResponse:
    """A WebSocket to the hub. Raises Lost."""
    try:
        async with asyncio.timeout(timing.connect):
            return await session.ws_connect(
                url,
                headers={"Authorization": f"Bearer {token}"} if token else {},
                autoping=False,  # a ping that is answered unseen would be no sign of life
                max_msg_size=LARGEST,
                timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE),
            )
    except aiohttp.WSServerHandshakeError as error:
        pause = error.headers.get("Retry-After", "") if error.headers else ""
        raise Lost(
            f"status {error.status} instead of a WebSocket",
            code=error.status,
            final=error.status in _REFUSED,
            pause=min(float(pause), _LONGEST) if pause.isdecimal() else 0.0,
        ) from error
    except TimeoutError as error:
        raise Lost("it does not answer in time") from error
    except ValueError as error:
        raise Lost("its url is none") from error  # which may hold a token
    except (aiohttp.ClientError, OSError) as error:
        raise Lost(_text(error)) from error
