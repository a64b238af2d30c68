"""Certificates on disk: what is wrong with them, and what happens when they change."""

import ssl
from pathlib import Path

import pytest

from tests.peers.gateways import eventually
from tests.peers.tls import NAME, Authority, Files
from uaitools.proxy.config import ListenerTls, ProxyConfig
from uaitools.proxy.tls.certificates import Certificates
from uaitools.proxy.tls.check import examine
from uaitools.proxy.tls.material import MaterialError


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def table(*files: Files, **settings: object) -> ListenerTls:
    return ListenerTls.model_validate({"certificates": [one.settings for one in files], **settings})


def served(certificates: Certificates, name: str, authority: Authority) -> set[str]:
    """The names in the certificate that a client is shown, by a real handshake."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = authority.client()
    context.check_hostname = False
    client = context.wrap_bio(incoming, outgoing, server_hostname=name)
    server = certificates.choose(name).wrap_bio(outgoing, incoming, server_side=True)
    open_ends = [client, server]
    while open_ends:
        for end in tuple(open_ends):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            open_ends.remove(end)
    shown = client.getpeercert()
    assert shown is not None
    return {str(entry[1]) for entry in shown["subjectAltName"]}


# -- what is wrong with files ---------------------------------------------------------------


def encrypted(path: Path) -> None:
    from cryptography.hazmat.primitives import serialization as pem  # noqa: PLC0415

    key = pem.load_pem_private_key(path.read_bytes(), None)
    secret = pem.BestAvailableEncryption(b"secret")
    path.write_bytes(key.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, secret))


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        ("no cert", "proxy.tls.certificates[1].cert: {cert} cannot be read: No such file"),
        ("no key", "proxy.tls.certificates[1].key: {key} cannot be read: No such file"),
        ("folder", "proxy.tls.certificates[1].cert: {cert} cannot be read: Is a directory"),
        ("mismatch", "proxy.tls.certificates[1].key: {key} is not the key of {cert}"),
        ("swapped", "proxy.tls.certificates[1].cert: {cert} holds no PEM certificate"),
        ("empty cert", "proxy.tls.certificates[1].cert: {cert} holds no PEM certificate"),
        ("empty key", "proxy.tls.certificates[1].key: {key} holds no PEM private key"),
        ("encrypted", "proxy.tls.certificates[1].key: {key} is encrypted; decrypt it"),
        ("client_ca", "proxy.tls.client_ca: {key} holds no PEM certificate"),
    ],
)
def test_a_broken_file_is_named_by_its_key(authority: Authority, damage: str, problem: str) -> None:
    good, files = authority.issue("good.test"), authority.issue(NAME)
    settings: dict[str, object] = {}
    match damage:
        case "no cert":
            files.cert.unlink()
        case "no key":
            files.key.unlink()
        case "folder":
            files.cert.unlink()
            files.cert.mkdir()
        case "mismatch":
            files.key.write_bytes(good.key.read_bytes())
        case "swapped":
            files.cert, files.key = files.key, files.cert
        case "empty cert":
            files.cert.write_bytes(b"")
        case "empty key":
            files.key.write_bytes(b"")
        case "encrypted":
            encrypted(files.key)
        case "client_ca":
            settings = {"client_ca": str(files.key), "client_auth": "optional"}
    tls = table(good, files, **settings)

    problems, _ = examine(ProxyConfig(tls=tls))

    expected = problem.format(cert=files.cert, key=files.key)
    assert len(problems) == 1
    assert problems[0].startswith(expected)
    with pytest.raises(MaterialError):
        Certificates(tls)


def test_a_services_files_are_examined_too(authority: Authority, tmp_path: Path) -> None:
    files, missing = authority.issue(NAME), tmp_path / "none"
    config = ProxyConfig.model_validate(
        {
            "services": {
                "a": {"tls": {"ca": str(missing)}},
                "b": {"tls": {"cert": str(files.key), "key": str(files.key)}},
                "c": {"tls": {"verify": False}},
                "d": {"tls": {"ca": str(authority.file), **files.settings}},
            }
        }
    )

    assert examine(config) == (
        [
            f"proxy.services.a.tls.ca: {missing} cannot be read: No such file or directory",
            f"proxy.services.b.tls.cert: {files.key} holds no PEM certificate",
        ],
        ["proxy.services.c.tls.verify: the service can be anybody"],
    )


def test_an_expired_certificate_is_served_with_a_warning(authority: Authority) -> None:
    problems, warnings = examine(ProxyConfig(tls=table(authority.issue(NAME, expired=True))))

    assert problems == []
    assert len(warnings) == 1
    assert warnings[0].startswith("proxy.tls.certificates[0].cert: the certificate has expired on")


# -- reading again --------------------------------------------------------------------------


async def test_what_has_changed_is_read_again(authority: Authority) -> None:
    one, other = authority.issue("one.test"), authority.issue("two.test")
    certificates = Certificates(table(one, other))
    await certificates.refresh()
    assert certificates.reloads == 0

    authority.write(other, "new.test")
    await certificates.refresh()

    assert certificates.reloads == 1
    assert served(certificates, "new.test", authority) == {"new.test"}
    assert served(certificates, "two.test", authority) == {"one.test"}
    assert served(certificates, "one.test", authority) == {"one.test"}


@pytest.mark.parametrize("damage", [b"", b"broken", None])
async def test_a_broken_pair_keeps_the_old_one_until_it_is_whole(
    authority: Authority, damage: bytes | None, capsys: pytest.CaptureFixture[str]
) -> None:
    files = authority.issue("old.test")
    certificates = Certificates(table(files))
    old_key = files.key.read_bytes()

    authority.write(files, "new.test")
    new_key = files.key.read_bytes()
    # As it looks between the writing of one file and of the other.
    files.key.write_bytes(old_key if damage is None else damage)
    await certificates.refresh()
    assert served(certificates, "new.test", authority) == {"old.test"}
    assert "a certificate is broken, the old one stays" in "".join(capsys.readouterr())
    await certificates.refresh()
    assert "".join(capsys.readouterr()) == "", "said once"

    files.key.write_bytes(new_key)
    await certificates.refresh()
    assert served(certificates, "new.test", authority) == {"new.test"}


async def test_a_file_that_vanishes_and_returns(authority: Authority) -> None:
    files = authority.issue("old.test")
    certificates = Certificates(table(files))

    files.cert.rename(files.cert.with_suffix(".away"))
    await certificates.refresh()
    assert served(certificates, NAME, authority) == {"old.test"}
    authority.write(files, "new.test")
    await certificates.refresh()
    assert served(certificates, NAME, authority) == {"new.test"}


async def test_files_are_followed_without_being_asked(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("uaitools.proxy.tls.certificates.INTERVAL", 0.01)
    files = authority.issue("old.test")
    certificates = Certificates(table(files))
    certificates.start()
    authority.write(files, "new.test")
    await eventually(lambda: served(certificates, NAME, authority) == {"new.test"})
    await certificates.stop()


async def test_other_settings_are_put_into_force_all_or_none(authority: Authority) -> None:
    one, other = authority.issue("one.test"), authority.issue("two.test")
    certificates = Certificates(table(one))
    other_key = other.key.read_bytes()
    other.key.write_bytes(b"")
    with pytest.raises(MaterialError):
        await certificates.replace(table(other, one))
    assert served(certificates, NAME, authority) == {"one.test"}

    other.key.write_bytes(other_key)
    await certificates.replace(table(other, one))
    assert served(certificates, NAME, authority) == {"two.test"}
