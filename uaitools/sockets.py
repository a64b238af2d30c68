"""What has to be said to the kernel about sockets."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import Final

# Bytes that the kernel may hold unsent for a client. Without it a stuck reader pins 4 MB of send
# buffer (docs/measurements.md); with it CPU is the same within noise.
NOTSENT_LOWAT: Final = 128 * 1024
_TCP_NOTSENT_LOWAT: Final = getattr(socket, "TCP_NOTSENT_LOWAT", 25)
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


def listening_socket(host: str, port: int, *, reuse_port: bool = False) -> socket.socket:
    """A bound, listening TCP socket; accepted connections inherit its options.

    Raises OSError when the address cannot be had.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        with contextlib.suppress(OSError):  # not every system knows the option
            listener.setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, NOTSENT_LOWAT)
        listener.bind(address)
        listener.listen(4096)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def listening_sockets(host: str, port: int, count: int) -> list[socket.socket]:
    """A listening socket for each of `count` processes, all of one address. Raises OSError."""
    if count == 1:
        return [listening_socket(host, port)]
    if port:
        # SO_REUSEPORT would share the address with another program of the same user, who would
        # wonder where half of the requests go.
        listening_socket(host, port).close()
    listeners = [listening_socket(host, port, reuse_port=True)]
    host, port = listeners[0].getsockname()[:2]
    while len(listeners) < count:
        listeners.append(listening_socket(host, port, reuse_port=True))
    return listeners


def reset(transport: asyncio.Transport) -> None:
    """End a connection with a reset, so that a truncated body never looks whole.

    A bare `transport.abort()` sends a clean FIN (docs/measurements.md).
    """
    sock = transport.get_extra_info("socket")
    if sock is not None and sock.family != socket.AF_UNIX:
        with contextlib.suppress(OSError):  # it may be gone already
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    transport.abort()
