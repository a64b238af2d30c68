"""What went wrong with a check, in plain words that hold nothing of the peer's making."""

from __future__ import annotations

import os
import socket
import ssl
from typing import Final

import aiohttp

# The first that fits: aiohttp's errors are OSErrors, and certificates' are ValueErrors, too.
_WORDS: Final[tuple[tuple[tuple[type[Exception], ...], str], ...]] = (
    (
        (aiohttp.ClientConnectorCertificateError, ssl.SSLCertVerificationError),
        "its certificate is not trusted",
    ),
    ((aiohttp.ClientSSLError, ssl.SSLError), "the TLS handshake failed"),
    ((aiohttp.ClientConnectorDNSError, socket.gaierror), "the name does not resolve"),
    ((aiohttp.ServerDisconnectedError,), "the connection ended before the answer"),
    ((aiohttp.ClientResponseError,), "not a valid HTTP answer"),
    ((ValueError,), "its address, its port or the check's path is not valid"),
)


def reason(error: Exception) -> str:
    """A few words for an error of `asyncio` or `aiohttp`, or for the ValueError of a target."""
    for types, words in _WORDS:
        if isinstance(error, types):
            return words
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return os.strerror(error.errno).lower()
    return "no connection"  # several addresses were tried, each with its own error
