"""A tunnel after a 101: bytes both ways, half-close, back-pressure, and an idle limit."""

from __future__ import annotations

from typing import Final, Protocol

from uaitools.proxy.ends import CLIENT_GONE, COMPLETE, UPSTREAM_GONE

HALF_CLOSED_SECONDS: Final = 60.0  # silence after which a tunnel with one side closed is ended


class Side(Protocol):
    """One end of a tunnel: a connection that bytes can be written to.

    Reading is paused and resumed without effect on one that has sent EOF.
    """

    def write(self, data: bytes) -> None:
        """Send bytes."""

    def write_eof(self) -> None:
        """Say that no more will come."""

    def pause_reading(self) -> None:
        """Stop reading from this side."""

    def resume_reading(self) -> None:
        """Read from this side again."""

    def close(self) -> None:
        """Close when everything is written."""


class ClientSide(Side, Protocol):
    """The client's end, which keeps the tunnel's time."""

    def tunnel_active(self) -> None:
        """Bytes went through; `Tunnel.patience` begins anew."""

    def tunnel_ended(self) -> None:
        """Both sides are closed; called once."""


class Teller(Protocol):
    """Who wants to know when a tunnel has ended."""

    def tunnel_ended(self, tunnel: Tunnel, end: bytes) -> None:
        """It has ended. end: why, see ends."""


class Tunnel:
    """Relays between a client and an upstream until both have closed.

    idle: seconds without a byte either way before the client's side ends it. received, sent: bytes
    from the client and to it.
    """

    __slots__ = (
        "_client",
        "_client_eof",
        "_end",
        "_idle",
        "_keeper",
        "_teller",
        "_upstream",
        "_upstream_eof",
        "received",
        "sent",
    )

    def __init__(self, client: ClientSide, upstream: Side, idle: float) -> None:
        self._keeper: ClientSide | None = client  # None once the tunnel has ended
        self._client: Side | None = client
        self._upstream: Side | None = upstream
        self._client_eof = False
        self._upstream_eof = False
        self._idle = idle
        self._teller: Teller | None = None
        self._end = COMPLETE
        self.received = 0
        self.sent = 0

    def __repr__(self) -> str:
        state = "ended" if self._keeper is None else "half" if self.half_closed else "open"
        return f"<Tunnel {state}>"

    @property
    def half_closed(self) -> bool:
        """One side has said that it will send no more."""
        return self._client_eof or self._upstream_eof

    @property
    def patience(self) -> float:
        """Seconds of silence that end the tunnel."""
        return min(self._idle, HALF_CLOSED_SECONDS) if self.half_closed else self._idle

    def from_client(self, data: bytes) -> None:
        """Bytes from the client."""
        self._touch()
        self.received += len(data)
        if self._upstream is not None:
            self._upstream.write(data)

    def from_upstream(self, data: bytes) -> None:
        """Bytes from the upstream."""
        self._touch()
        self.sent += len(data)
        if self._client is not None:
            self._client.write(data)

    def client_eof(self) -> bool:
        """The client sends no more; True keeps its connection open for what comes back."""
        self._client_eof = True
        return self._half_close(self._upstream)

    def upstream_eof(self) -> bool:
        """The upstream sends no more."""
        self._upstream_eof = True
        return self._half_close(self._client)

    def client_full(self) -> None:
        """The client does not keep up."""
        if self._upstream is not None:
            self._upstream.pause_reading()

    def client_drained(self) -> None:
        """The client keeps up again."""
        if self._upstream is not None:
            self._upstream.resume_reading()

    def upstream_full(self) -> None:
        """The upstream does not keep up."""
        if self._client is not None:
            self._client.pause_reading()

    def upstream_drained(self) -> None:
        """The upstream keeps up again."""
        if self._client is not None:
            self._client.resume_reading()

    def client_lost(self, end: bytes = CLIENT_GONE) -> None:
        """The client's connection is gone. end: why, see ends."""
        self._client = None
        self._finish(COMPLETE if self._upstream_eof and end is CLIENT_GONE else end)

    def upstream_lost(self) -> None:
        """The upstream's connection is gone."""
        self._upstream = None
        self._finish(COMPLETE if self._client_eof else UPSTREAM_GONE)

    def _touch(self) -> None:
        if self._keeper is not None:
            self._keeper.tunnel_active()

    def _half_close(self, other: Side | None) -> bool:
        self._touch()
        if self._client_eof and self._upstream_eof:
            # Nothing calls connection_lost once both ends have sent EOF; close ourselves.
            self._finish(COMPLETE)
        elif other is not None:
            other.write_eof()
        return True

    def tell(self, teller: Teller) -> None:
        """Have `teller` know of the end, which may have been already."""
        if self._keeper is None:
            teller.tunnel_ended(self, self._end)
        else:
            self._teller = teller

    def _finish(self, end: bytes) -> None:
        keeper, self._keeper = self._keeper, None
        if keeper is None:
            return
        self._end = end
        teller, self._teller = self._teller, None
        if teller is not None:
            teller.tunnel_ended(self, end)
        for side in (self._client, self._upstream):
            if side is not None:
                side.close()
        self._client = self._upstream = None
        keeper.tunnel_ended()
