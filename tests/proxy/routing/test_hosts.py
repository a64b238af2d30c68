import pytest

from uaitools.proxy.routing.hosts import ANY, Hosts, host_name


@pytest.fixture
def hosts() -> Hosts[str]:
    hosts: Hosts[str] = Hosts()
    for pattern in (b"a.org", b"x.a.org", b"*.a.org", b"*.b.a.org", b"[::1]", ANY):
        hosts.put(pattern, pattern.decode())
    return hosts


@pytest.mark.parametrize(
    ("authority", "name"),
    [
        (b"a.org", b"a.org"),
        (b"A.Org:8080", b"a.org"),
        (b"a.org.", b"a.org"),
        (b"a.org.:80", b"a.org"),
        (b"a.org..", b"a.org."),
        (b"[::1]:80", b"[::1]"),
        (b"[2001:DB8::1]", b"[2001:db8::1]"),
        (b"a.org:", b"a.org"),
        (None, b""),
    ],
)
def test_a_host_is_compared_without_case_port_and_final_dot(
    authority: bytes | None, name: bytes
) -> None:
    assert host_name(authority) == name


@pytest.mark.parametrize(
    ("authority", "patterns"),
    [
        (b"a.org", ["a.org", ""]),
        (b"x.a.org", ["x.a.org", "*.a.org", ""]),
        (b"y.a.org", ["*.a.org", ""]),
        (b"y.b.a.org", ["*.b.a.org", "*.a.org", ""]),
        (b"z.y.b.a.org", ["*.b.a.org", "*.a.org", ""]),
        (b"b.a.org", ["*.a.org", ""]),
        (b"aa.org", [""]),
        (b"xa.org", [""]),
        (b".a.org", ["*.a.org", ""]),
        (b"a.org.evil", [""]),
        (b"*.a.org", ["*.a.org", ""]),
        (b"[::1]:8081", ["[::1]", ""]),
        (b"org", [""]),
        (None, [""]),
        (b"x." * 200 + b"a.org", [""]),
    ],
)
def test_an_exact_host_wins_then_the_longest_wildcard_which_needs_a_label(
    hosts: Hosts[str], authority: bytes | None, patterns: list[str]
) -> None:
    assert hosts.candidates(authority) == patterns
    assert hosts.best(authority).decode() == patterns[0]
