"""Certificates made on the spot, and both ends of TLS as others implement them."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import trustme

from tests.peers.gateways import gateway
from tests.peers.scripted import Answering, Script, Scripted
from tests.peers.wire import Wire
from uaitools.proxy.gateway import Gateway

NAME = "a.test"


_BESIDE = ("app", "client", "service", "routes", "trusted_proxies")  # settings that are not TLS's


class Authority:
    """Someone who signs certificates, and writes them into a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca = trustme.CA(key_type=trustme.KeyType.ECDSA)
        self._count = 0
        folder.mkdir(exist_ok=True)
        self.file = folder / f"ca-{id(self)}.pem"
        self.ca.cert_pem.write_to_path(str(self.file))

    def issue(self, *names: str, expired: bool = False, common: str | None = None) -> Files:
        """A new certificate in files of its own."""
        self._count += 1
        files = Files(
            self.folder / f"{id(self)}-{self._count}.crt",
            self.folder / f"{id(self)}-{self._count}.key",
        )
        self.write(files, *names, expired=expired, common=common)
        return files

    def write(
        self, files: Files, *names: str, expired: bool = False, common: str | None = None
    ) -> None:
        """Replace what the files hold, first the certificate, then the key."""
        past = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
        issued = self.ca.issue_cert(
            *names,
            common_name=common,
            not_before=past - dt.timedelta(days=1) if expired else None,
            not_after=past if expired else None,
            key_type=trustme.KeyType.ECDSA,
        )
        files.cert.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
        files.key.write_bytes(issued.private_key_pem.bytes())

    def client(self, files: Files | None = None) -> ssl.SSLContext:
        """What a client needs that believes this authority; files: who it says it is."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.ca.configure_trust(context)
        if files is not None:
            context.load_cert_chain(files.cert, files.key)
        return context

    def server(self, files: Files) -> ssl.SSLContext:
        """What a server needs that is the one in `files`."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files.cert, files.key)
        return context


class Files:
    """Where a certificate and its key are."""

    def __init__(self, cert: Path, key: Path) -> None:
        self.cert = cert
        self.key = key

    @property
    def settings(self) -> dict[str, object]:
        return {"cert": str(self.cert), "key": str(self.key)}


def anyone(maximum: ssl.TLSVersion = ssl.TLSVersion.MAXIMUM_SUPPORTED) -> ssl.SSLContext:
    """A client that believes everyone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = maximum
    return context


async def secure(port: int, context: ssl.SSLContext | None = None, name: str | None = NAME) -> Wire:
    """A client over the event loop's own TLS. Raises OSError when the handshake fails."""
    _, wire = await asyncio.get_running_loop().create_connection(
        Wire, "127.0.0.1", port, ssl=context or anyone(), server_hostname=name or ""
    )
    wire.finished = True  # the loop's TLS ends with the peer whatever its protocol wants
    return wire


async def refused(port: int, context: ssl.SSLContext, data: bytes = b"") -> None:
    """Expect no connection. In TLS 1.3 a client learns of it after its own handshake."""
    try:
        wire = await secure(port, context)
    except (ssl.SSLError, ConnectionError):
        return
    wire.send(data)
    await wire.finish()
    assert isinstance(wire.error, ssl.SSLError | ConnectionError)
    assert wire.received == b""


class HalfClosing:
    """A client that can say close_notify and read on, which no event loop's TLS can."""

    def __init__(self, wire: Wire, context: ssl.SSLContext) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=NAME)
        self._wire = wire
        self._taken = 0

    async def handshake(self) -> None:
        while not self._done(self._tls.do_handshake):
            await self._more()

    def send(self, data: bytes) -> None:
        self._tls.write(data)
        self._wire.send(self._outgoing.read())

    def send_end(self) -> None:
        with contextlib.suppress(ssl.SSLWantReadError):
            self._tls.unwrap()
        self._wire.send(self._outgoing.read())

    async def read_to(self, marker: bytes) -> bytes:
        """Bytes up to the read that brought `marker`."""
        received = b""
        while marker not in received:
            received += await self._read()
        return received

    async def rest(self) -> bytes:
        """Everything up to the peer's close_notify."""
        received = b""
        with contextlib.suppress(ssl.SSLZeroReturnError):
            while piece := await self._read():
                received += piece
        return received

    async def _read(self) -> bytes:
        while True:
            try:
                return self._tls.read(65536)
            except ssl.SSLWantReadError:
                await self._more()

    def _done(self, step: Callable[[], None]) -> bool:
        try:
            step()
        except ssl.SSLWantReadError:
            return False
        self._wire.send(self._outgoing.read())
        return True

    async def _more(self) -> None:
        self._wire.send(self._outgoing.read())
        await self._wire.until(lambda: len(self._wire.received) > self._taken)
        self._incoming.write(bytes(self._wire.received[self._taken :]))
        self._taken = len(self._wire.received)


def names(wire: Wire) -> set[str]:
    """The DNS names in the peer's certificate, which was verified."""
    found = wire.transport.get_extra_info("ssl_object").getpeercert()
    return {value for kind, value in found["subjectAltName"] if kind == "DNS"}


@contextlib.asynccontextmanager
async def tls_gateway(
    url: str, authority: Authority, *certificates: Files, **settings: object
) -> AsyncIterator[Gateway]:
    """A gateway whose listener speaks TLS, by default with one certificate for NAME."""
    files = certificates or (authority.issue(NAME, "127.0.0.1"),)
    beside = {key: settings.pop(key) for key in _BESIDE if key in settings}
    tls = {"certificates": [one.settings for one in files], **settings}
    async with gateway(url, tls=tls, **beside) as running:
        yield running


@contextlib.asynccontextmanager
async def secure_upstream(
    authority: Authority,
    *names: str,
    script: Script | None = None,
    answers: tuple[bytes, ...] = (),
    expired: bool = False,
    context: ssl.SSLContext | None = None,
) -> AsyncIterator[Scripted]:
    """An upstream over the event loop's own TLS; its `url` is https."""
    files = authority.issue(*(names or ("127.0.0.1",)), expired=expired)
    server = Scripted(script) if script is not None else Answering(*answers)
    server.context = context or authority.server(files)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
    assert not server.failures, server.failures
