"""What the upstream is told of a client's verified certificate: its subject and fingerprint.

Both names are below X-Forwarded-, which is dropped when a client sends it.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any, Final

_SUBJECT_LIMIT: Final = 1024  # bytes; a longer subject is left out, and the fingerprint stays
_SPECIAL: Final = frozenset('"+,;<>\\')
# RFC 4514 3; other attributes keep OpenSSL's long names.
_SHORT: Final = {
    "commonName": "CN",
    "localityName": "L",
    "stateOrProvinceName": "ST",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "countryName": "C",
    "streetAddress": "STREET",
    "domainComponent": "DC",
    "userId": "UID",
}

Subject = tuple[tuple[tuple[str, str], ...], ...]


def identity(tls: Any) -> bytes:
    """The lines for a client whose certificate was verified, each after a CR LF; b'' for none.

    tls: an ssl.SSLObject or anything like it, None for a plain connection.
    """
    certificate = tls.getpeercert() if tls is not None else None
    if not certificate:  # {}: there is one, which nobody has verified
        return b""
    lines = b"\r\nX-Forwarded-Client-Fingerprint: " + fingerprint(tls.getpeercert(True))
    subject = distinguished_name(certificate.get("subject", ()))
    if 0 < len(subject) <= _SUBJECT_LIMIT:
        lines += b"\r\nX-Forwarded-Client-Subject: " + subject
    return lines


def fingerprint(certificate: bytes) -> bytes:
    """SHA-256 of a certificate in DER, in hex digits."""
    return sha256(certificate).hexdigest().encode()


def distinguished_name(subject: Subject) -> bytes:
    """RFC 4514 2: the most specific part first, `CN=a,O=b`, in printable ASCII only."""
    return ",".join(
        "+".join(f"{_SHORT.get(name, name)}={_escape(value)}" for name, value in attributes)
        for attributes in reversed(subject)
    ).encode()


def _escape(value: str) -> str:
    """RFC 4514 2.4. Whoever signs certificates must not be able to write header lines."""
    text = "".join(map(_escape_character, value))
    if len(value) > 1 and value.endswith(" "):
        text = text[:-1] + "\\ "
    return "\\" + text if value.startswith((" ", "#")) else text


def _escape_character(character: str) -> str:
    if character in _SPECIAL:
        return "\\" + character
    if " " <= character <= "~":
        return character
    return "".join(f"\\{byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))
