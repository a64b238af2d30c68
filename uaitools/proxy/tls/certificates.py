"""The listener's certificates in force, replaced when their files change.

Files are looked at once a second. What changed is read again; a pair that is broken, or half
written, keeps the old one in force. Connections keep the certificate that they began with.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Final

from uaitools.files import in_thread
from uaitools.log import get_logger
from uaitools.proxy.config.tls import CertificateFiles, ListenerTls
from uaitools.proxy.tls.material import (
    Loaded,
    MaterialError,
    Signature,
    expiry_warning,
    load,
    signature,
)
from uaitools.proxy.tls.names import Names
from uaitools.tasks import spawn

INTERVAL: Final = 1.0  # seconds between two looks at the files
_log = get_logger(__name__)


class Certificates:
    """The contexts of all certificates, by the names they answer for.

    Made with the first settings; raises MaterialError when one of their files cannot be used.
    """

    def __init__(self, settings: ListenerTls) -> None:
        self._settings = settings
        self._seen = _look(settings)
        self._loaded = _load_all(settings)
        self._names = self._named()
        self._busy = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self.reloads = 0  # of certificates, since the start

    def __repr__(self) -> str:
        return f"<Certificates {len(self._loaded)} reloads={self.reloads}>"

    def choose(self, name: str) -> ssl.SSLContext:
        """The context for the name that a client asks for, '' for none."""
        return self._names.find(name).context

    def start(self) -> None:
        """Follow the files from now on."""
        self._task = spawn(self._follow(), name="certificates")

    async def stop(self) -> None:
        """Stop following them."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def replace(self, settings: ListenerTls) -> None:
        """Put other settings into force, and read every file again. Raises MaterialError."""
        async with self._busy:
            seen = _look(settings)
            # Elsewhere: reading a hundred of them must not stop the loop.
            loaded = await in_thread(_load_all, settings)
            self._settings, self._seen, self._loaded = settings, seen, loaded
            self._names = self._named()

    async def refresh(self) -> None:
        """Read again what has changed on disk."""
        async with self._busy:
            seen = _look(self._settings)
            if seen == self._seen:
                return
            for index, files in enumerate(self._settings.certificates):
                if seen[index] != self._seen[index]:
                    await self._renew(index, files)
            self._seen = seen
            self._names = self._named()

    async def _renew(self, index: int, files: CertificateFiles) -> None:
        try:
            self._loaded[index] = await in_thread(_load, files, self._settings)
        except MaterialError as error:
            _log.error(
                "a certificate is broken, the old one stays",
                cert=str(files.cert),
                reason=str(error),
            )
        else:
            self.reloads += 1
            _log.info("certificate read again", cert=str(files.cert))

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL)
            try:
                await self.refresh()
            except Exception:
                _log.exception("certificates cannot be followed")

    def _named(self) -> Names[Loaded]:
        return Names([(loaded, loaded.names) for loaded in self._loaded])


def _look(settings: ListenerTls) -> list[Signature]:
    """What the files of each certificate look like; the clients' authority is of all of them."""
    shared = (settings.client_ca,) if settings.client_ca is not None else ()
    return [signature((files.cert, files.key, *shared)) for files in settings.certificates]


def _load_all(settings: ListenerTls) -> list[Loaded]:
    loaded = []
    for index, files in enumerate(settings.certificates):
        try:
            loaded.append(_load(files, settings))
        except MaterialError as error:
            raise error.within(index) from error
    return loaded


def _load(files: CertificateFiles, settings: ListenerTls) -> Loaded:
    loaded = load(files, settings)
    warning = expiry_warning(loaded)
    if warning is not None:
        _log.warning(warning, cert=str(files.cert))
    return loaded
