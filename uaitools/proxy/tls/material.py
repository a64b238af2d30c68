"""Certificates, keys and authorities on disk: read, checked, and made into contexts.

What is wrong with a file is a `MaterialError` in words for who wrote the configuration. Contexts
are made once and shared by all connections; a new file means a new context.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Final

from uaitools.log import get_logger
from uaitools.proxy.config.tls import CertificateFiles, ListenerTls, UpstreamTls

# TLS 1.2 with forward secrecy and authenticated encryption only; 1.3 has nothing else (RFC 9325 4).
_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
_PROTOCOLS: Final = ["http/1.1"]
_CHECK_SECONDS: Final = 1.0  # between two looks at the files
_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_VERIFY: Final = {
    "none": ssl.CERT_NONE,
    "optional": ssl.CERT_OPTIONAL,
    "required": ssl.CERT_REQUIRED,
}

Signature = tuple[tuple[int, int, int] | None, ...]
"""What files looked like; differs when one of them has changed."""

_log = get_logger(__name__)


class MaterialError(Exception):
    """A file cannot be used. key: the setting that names it. text: why, and what to do."""

    def __init__(self, key: str, text: str) -> None:
        super().__init__(f"{key}: {text}")
        self.key = key
        self.text = text

    def within(self, index: int) -> MaterialError:
        """The same error of the certificate at `index`; client_ca is of all of them."""
        key = self.key if self.key == "client_ca" else f"certificates[{index}].{self.key}"
        return MaterialError(key, self.text)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A certificate in use. expires: UTC."""

    context: ssl.SSLContext
    names: tuple[str, ...]
    expires: datetime


def signature(paths: Iterable[Path]) -> Signature:
    """What the files look like now."""
    return tuple(map(_look, paths))


def _look(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


# -- the listener ---------------------------------------------------------------------------


def load(pair: CertificateFiles, tls: ListenerTls) -> Loaded:
    """A context that serves `pair`. Raises MaterialError; its key is cert, key or client_ca."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _common(context, tls.min_version)
    # RFC 9325 3.5: renegotiation has no use here, and costs the server more than the client.
    context.options |= ssl.OP_NO_RENEGOTIATION
    _load_pair(context, pair.cert, pair.key)
    if tls.client_ca is not None:
        _load_authority(context, tls.client_ca, "client_ca")
    context.verify_mode = _VERIFY[tls.client_auth]
    names, expires = _inspect(pair.cert)
    return Loaded(context, pair.names or names, expires)


def _common(context: ssl.SSLContext, version: str) -> None:
    context.minimum_version = _VERSIONS[version]
    context.set_ciphers(_CIPHERS)
    context.set_alpn_protocols(_PROTOCOLS)


def _load_pair(context: ssl.SSLContext, cert: Path, key: Path) -> None:
    for name, path in (("cert", cert), ("key", key)):
        _readable(path, name)

    def refuse() -> str:
        # Without this OpenSSL would ask on the terminal.
        raise MaterialError(
            "key", f"{key} is encrypted; decrypt it, and let only this user read it"
        )

    try:
        context.load_cert_chain(cert, key, password=refuse)
    except ssl.SSLError as error:
        match error.reason:
            case "KEY_VALUES_MISMATCH" | "KEY_TYPE_MISMATCH":
                raise MaterialError("key", f"{key} is not the key of {cert}") from error
            case "EE_KEY_TOO_SMALL" | "CA_MD_TOO_WEAK" | "CA_KEY_TOO_SMALL":
                raise MaterialError("cert", f"{cert} is too weak for TLS today") from error
        if not _has_certificate(cert):
            raise MaterialError("cert", f"{cert} holds no PEM certificate") from error
        raise MaterialError("key", f"{key} holds no PEM private key") from error


def _load_authority(context: ssl.SSLContext, path: Path, name: str) -> None:
    _readable(path, name)
    try:
        context.load_verify_locations(cafile=path)
    except ssl.SSLError as error:
        raise MaterialError(name, f"{path} holds no PEM certificate") from error


def _readable(path: Path, name: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise MaterialError(name, f"{path} cannot be read: {error.strerror}") from error


def _has_certificate(path: Path) -> bool:
    try:
        _inspect(path)
    except ValueError:
        return False
    return True


def _inspect(path: Path) -> tuple[tuple[str, ...], datetime]:
    """DNS names and end of the first certificate in a file. Raises ValueError when it has none."""
    # Here and not above: 0.03 s that a gateway without TLS does without.
    from cryptography import x509  # noqa: PLC0415

    certificate = x509.load_pem_x509_certificates(path.read_bytes())[0]
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        names = tuple(extension.value.get_values_for_type(x509.DNSName))
    except x509.ExtensionNotFound:
        names = ()
    return names, certificate.not_valid_after_utc


def expiry_warning(loaded: Loaded, now: datetime | None = None) -> str | None:
    """What to say of a certificate that clients no longer accept, or soon will not."""
    left = loaded.expires - (now or datetime.now(UTC))
    when = f"{loaded.expires:%Y-%m-%d %H:%M} UTC"
    if left.total_seconds() <= 0:
        return f"the certificate has expired on {when}; clients refuse it"
    if left.days < 7:
        return f"the certificate expires on {when}"
    return None


# -- services -------------------------------------------------------------------------------


def upstream_context(tls: UpstreamTls) -> ssl.SSLContext:
    """A context for connections to a service. Raises MaterialError; its key is ca, cert or key."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _common(context, tls.min_version)
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif tls.ca is not None:
        _load_authority(context, tls.ca, "ca")
    else:
        context.load_default_certs()
    if tls.cert is not None and tls.key is not None:
        _load_pair(context, tls.cert, tls.key)
    return context


class UpstreamContexts:
    """The contexts of all services, one for equal settings; made anew when a file has changed."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: dict[UpstreamTls, _Kept] = {}

    def __repr__(self) -> str:
        return f"<UpstreamContexts {len(self._kept)}>"

    def prepare(self, wanted: Iterable[UpstreamTls]) -> Iterator[MaterialError]:
        """Make those that are missing and forget the others; yields what is wrong with files."""
        kept, self._kept = self._kept, {}
        for tls in wanted:
            try:
                self._kept[tls] = kept.get(tls) or _Kept(tls)
            except MaterialError as error:
                yield error

    def get(self, tls: UpstreamTls) -> ssl.SSLContext:
        """The context in force. Raises OSError when there never was a good one."""
        kept = self._kept.get(tls)
        if kept is None:
            try:
                kept = self._kept[tls] = _Kept(tls)
            except MaterialError as error:
                raise OSError(str(error)) from error
        kept.renew(monotonic())
        return kept.context


class _Kept:
    """A context and what its files looked like."""

    __slots__ = ("_looked", "_seen", "_tls", "context")

    def __init__(self, tls: UpstreamTls) -> None:
        self._tls = tls
        self._seen = signature(tls.files)
        self._looked = monotonic()
        self.context = upstream_context(tls)
        if not tls.verify:
            _log.warning("a service's certificate is not verified: it can be anybody's")

    def renew(self, now: float) -> None:
        """Read the files again if they have changed; broken ones change nothing."""
        if now - self._looked < _CHECK_SECONDS:
            return
        self._looked = now
        seen = signature(self._tls.files)
        if seen == self._seen:
            return
        self._seen = seen
        try:
            self.context = upstream_context(self._tls)
        except MaterialError as error:
            _log.error("the files for TLS to a service are broken, the old stay", reason=str(error))
