"""What the upstream is told of a client's certificate; the oracle is cryptography's RFC 4514."""

import hashlib

from cryptography import x509
from cryptography.x509.oid import NameOID
from hypothesis import example, given
from hypothesis import strategies as st

from uaitools.proxy.tls.identity import Subject, distinguished_name, identity

VALUE = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=30)


class Peer:
    """As much of an SSLObject as is asked."""

    def __init__(self, subject: Subject | None, der: bytes = b"der") -> None:
        self.subject = subject
        self.der = der

    def getpeercert(self, binary: bool = False) -> object:
        if binary:
            return self.der
        return None if self.subject is None else {"subject": self.subject}


@given(VALUE, VALUE)
@example("a", " ")
@example("  ", "#")
@example("# ", "a ")
def test_a_subject_is_written_as_rfc_4514_says(common: str, organization: str) -> None:
    subject = ((("organizationName", organization),), (("commonName", common),))
    oracle = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )

    assert distinguished_name(subject).decode() == oracle.rfc4514_string()


@given(st.text(min_size=1, max_size=40))
def test_no_subject_can_write_another_header_line(value: str) -> None:
    name = distinguished_name(((("commonName", value),),))

    assert all(0x20 <= byte <= 0x7E for byte in name)


def test_fingerprint_and_subject_are_told() -> None:
    lines = identity(Peer(((("commonName", "robot"),),)))

    assert lines == (
        b"\r\nX-Forwarded-Client-Fingerprint: %b\r\nX-Forwarded-Client-Subject: CN=robot"
        % hashlib.sha256(b"der").hexdigest().encode()
    )


def test_a_subject_that_is_too_long_is_left_out_whole() -> None:
    assert b"Subject" not in identity(Peer(((("commonName", "x" * 1024),),)))


def test_without_a_verified_certificate_there_is_nothing_to_tell() -> None:
    assert identity(None) == identity(Peer(None)) == b""
