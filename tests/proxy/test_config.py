from dataclasses import asdict
from pathlib import Path

import pytest

from uaitools.config import Address, ConfigError, load
from uaitools.proxy.config import (
    Breaker,
    ClientLimits,
    EndpointUrl,
    Limits,
    ProxyConfig,
    Retry,
    RouteSettings,
    ServiceSettings,
    Timeouts,
)
from uaitools.proxy.downstream import ClientPolicy
from uaitools.proxy.service import ServicePolicy
from uaitools.secret import REVEALED
from uaitools.traffic.balancing.ewma import DECAY
from uaitools.traffic.breaker import BreakerPolicy
from uaitools.traffic.retry import RetryPolicy

EVERY_DEFAULT = """
[proxy]
listen = "127.0.0.1:8081"
workers = 1
trusted_proxies = []
[proxy.services.llm-router]
endpoints = ["http://127.0.0.1:9001", { url = "http://127.0.0.1:9002", weight = 2 }]
balance = "round_robin"
timeouts = { connect = 3, first_byte = 60, between_bytes = 60 }
limits = { connections = 128, pending = 1024, requests = 1024 }
breaker = { failures = 5, ratio = 0.5, window = 10, minimum = 20, eject = 10, eject_max = 300 }
retry = { tries = 2, budget = 0.2 }
[[proxy.routes]]
path = "/api/chat"
methods = ["POST"]
service = "llm-router"
[[proxy.routes]]
path = "/api/memory"
service = "memory"
rewrite = "/memories"
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)  # so that messages name it as users do
    return Path("uaitools.toml")


def config(file: Path, toml: str) -> ProxyConfig:
    file.write_text(toml, "utf-8")
    return load({"proxy": ProxyConfig}, file=file, environ={}).of(ProxyConfig)


def problem(file: Path, toml: str) -> str:
    """The one thing that is wrong with `toml`."""
    with pytest.raises(ConfigError) as caught:
        config(file, toml)
    (only,) = caught.value.problems
    return only


def service(file: Path, toml: str) -> ServiceSettings:
    return config(file, f"[proxy.services.a]\n{toml}").services["a"]


def test_the_defaults_are_what_they_say_when_written_out(file: Path) -> None:
    written = config(file, EVERY_DEFAULT)

    endpoints = (
        EndpointUrl(url="http://127.0.0.1:9001"),
        EndpointUrl(url="http://127.0.0.1:9002", weight=2),
    )
    assert written == ProxyConfig(services={"llm-router": ServiceSettings(endpoints=endpoints)})


def test_every_default_has_its_documented_value() -> None:
    defaults, service = ProxyConfig(), ServiceSettings()

    assert defaults.listen == Address("127.0.0.1", 8081)
    assert defaults.workers == 1
    assert defaults.trusted_proxies == ()
    assert defaults.routes == (
        RouteSettings(path="/api/chat", methods=("POST",), service="llm-router"),
        RouteSettings(path="/api/memory", service="memory", rewrite="/memories"),
    )
    assert service.balance == "round_robin"
    assert service.timeouts == Timeouts(connect=3, first_byte=60, between_bytes=60)
    assert service.limits == Limits(connections=128, pending=1024, requests=1024)
    assert service.retry == Retry(tries=2, budget=0.2)
    assert service.breaker == Breaker(
        failures=5,
        connect_errors=3,
        ratio=0.5,
        window=10,
        minimum=20,
        eject=10,
        eject_max=300,
        ramp=10,
    )
    client = defaults.client
    assert (client.header, client.body, client.idle, client.tunnel) == (10, 30, 75, 3600)
    assert RouteSettings(path="/", service="a").max_body is None


def test_the_policies_of_the_data_plane_repeat_the_defaults() -> None:
    breaker, retry = Breaker().model_dump(), Retry().model_dump()
    calls = {
        "balance": ServiceSettings().balance,
        "decay": DECAY,
        **Timeouts().model_dump(),
        **Limits().model_dump(),
    }
    clients = ClientLimits().model_dump()

    assert asdict(BreakerPolicy()) == breaker
    assert asdict(RetryPolicy()) == retry
    assert asdict(ServicePolicy()) == {
        **calls,
        "breaker": breaker,
        "retry": retry,
        "check": None,
    }
    assert asdict(ClientPolicy(**clients)) == clients


def test_a_url_is_shorthand_for_a_service_with_one_endpoint(file: Path) -> None:
    short = config(file, '[proxy]\nservices.memory = "http://127.0.0.1:8017"')

    assert short.services["memory"] == ServiceSettings(
        endpoints=(EndpointUrl(url="http://127.0.0.1:8017", weight=1),)
    )


@pytest.mark.parametrize(
    ("url", "host_port"),
    [
        ("http://127.0.0.1:9001", ("127.0.0.1", 9001)),
        ("http://a.example", ("a.example", 80)),
        ("http://A.example/", ("a.example", 80)),
        ("http://[::1]:9001", ("::1", 9001)),
    ],
)
def test_an_endpoint_is_a_host_with_an_optional_port(url: str, host_port: tuple[str, int]) -> None:
    assert EndpointUrl(url=url).host_port == host_port


def test_an_endpoint_may_be_a_unix_socket(file: Path) -> None:
    assert service(file, "endpoints = ['unix:/run/app.sock']").endpoints[0].weight == 1


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "an endpoint is http://HOST[:PORT], https://HOST[:PORT] or unix:/path"),
        ("a.example", "an endpoint is http://HOST[:PORT], https://HOST[:PORT] or unix:/path"),
        ("ftp://a", "an endpoint is http://HOST[:PORT], https://HOST[:PORT] or unix:/path"),
        ("http://", "an endpoint is http://HOST[:PORT], https://HOST[:PORT] or unix:/path"),
        ("http://a/b", "an endpoint has no path, query or user"),
        ("http://a?b", "an endpoint has no path, query or user"),
        ("http://a#b", "an endpoint has no path, query or user"),
        ("http://user@a", "an endpoint has no path, query or user"),
        ("http://:secret@a", "an endpoint has no path, query or user"),
        ("http://a:0", "an endpoint's port is 1 to 65535"),
        ("http://a:65536", "Port out of range"),
        ("http://a:b", "Port could not be cast"),
        ("http://[::1", "Invalid IPv6 URL"),
        ("unix:run/app.sock", "a unix endpoint needs an absolute path"),
        ("unix:/" + "a" * 107, "a unix socket's path is at most 107 bytes long"),
    ],
)
def test_an_endpoint_of_any_other_form_is_refused_with_its_place(
    file: Path, url: str, reason: str
) -> None:
    text = problem(file, f"[proxy.services.a]\nendpoints = ['http://b', '{url}']")

    assert text.startswith(f"uaitools.toml: proxy.services.a.endpoints[1]: {reason}")


def test_an_endpoint_is_listed_once(file: Path) -> None:
    text = problem(file, "[proxy.services.a]\nendpoints = ['http://b', 'http://b']")

    assert text == (
        "uaitools.toml: proxy.services.a.endpoints: "
        "an endpoint is listed twice; give it a weight instead"
    )


@pytest.mark.parametrize(
    ("toml", "place"),
    [
        ("[proxy]\nworkers = 0", "proxy.workers"),
        ("[proxy]\nworker = 1", "proxy.worker"),
        ("[proxy]\nlisten = '8081'", "proxy.listen"),
        ("[proxy]\ntrusted_proxies = ['10.0.0.1/8']", "proxy.trusted_proxies[0]"),
        ("[proxy.client]\nidle = 0", "proxy.client.idle"),
        ("[proxy.services.a]\nbalance = 'fair'", "proxy.services.a.balance"),
        ("[proxy.services.a]\nbreaker.ratio = 1.5", "proxy.services.a.breaker.ratio"),
        ("[proxy.services.a]\nbreaker.ejection = 1", "proxy.services.a.breaker.ejection"),
        ("[proxy.services.a]\ntimeouts.connect = 0", "proxy.services.a.timeouts.connect"),
        ("[proxy.services.a]\ntimeouts.connect = inf", "proxy.services.a.timeouts.connect"),
        ("[proxy.services.a]\nlimits.requests = 0", "proxy.services.a.limits.requests"),
        ("[proxy.services.a]\nretry.tries = 'two'", "proxy.services.a.retry.tries"),
        (
            "[proxy.services.llm-router]\nendpoints = [{ url = 'http://a', weight = 0 }]",
            "proxy.services.llm-router.endpoints[0].weight",
        ),
        ("[[proxy.routes]]\npath = '/a'", "proxy.routes[0]"),
        ("[[proxy.routes]]\npath = '/a'\nservice = 'a'\nrewrite = 'b'", "proxy.routes[0].rewrite"),
        (
            "[[proxy.routes]]\npath = '/a'\nservice = 'a'\nmethods = ['get']",
            "proxy.routes[0].methods",
        ),
        ("[[proxy.routes]]\npath = '/a'\nservice = 'a'\nmax_body = -1", "proxy.routes[0].max_body"),
    ],
)
def test_an_error_names_file_and_key(file: Path, toml: str, place: str) -> None:
    assert problem(file, toml).startswith(f"uaitools.toml: {place}: ")


@pytest.mark.parametrize("path", ["/", "/api", "/api/", "/.well-known/a", "/caf%C3%A9", "/a%2Fb;c"])
def test_a_route_s_path_is_written_as_requests_arrive(path: str) -> None:
    assert RouteSettings(path=path, service="a").path == path


@pytest.mark.parametrize(
    "path",
    [
        *("", "api", "/a?b", "/a#b", "/a b", "/café", "/a\\b"),
        *("//a", "/a//b", "/./a", "/a/.."),
        *("/%61", "/caf%c3%a9", "/%zz", "/%00", "/..%2Fa"),
    ],
)
def test_a_route_s_path_that_no_request_could_have_is_refused(file: Path, path: str) -> None:
    text = problem(file, f"[[proxy.routes]]\npath = '{path}'\nservice = 'a'")

    assert text.startswith("uaitools.toml: proxy.routes[0].path: a")


def test_a_route_s_path_in_another_spelling_is_refused_with_the_right_one(file: Path) -> None:
    text = problem(file, "[[proxy.routes]]\npath = '/caf%c3%a9'\nservice = 'a'")

    assert text.endswith("a path is written in its normal form, /caf%C3%A9")


def test_two_routes_cannot_take_one_method_on_one_path(file: Path) -> None:
    one = "[[proxy.routes]]\npath = '/a'\nservice = 'a'\nmethods = ['GET', 'PUT']\n"
    other = "[[proxy.routes]]\npath = '/a/'\nservice = 'b'\nmethods = ['PUT']\n"

    assert problem(file, one + other) == (
        "uaitools.toml: proxy: routes[0] and routes[1] both take PUT on /a/"
    )
    assert len(config(file, one + other.replace("PUT", "POST")).routes) == 2


# -- balancing ------------------------------------------------------------------------------


def test_the_keys_of_balancing_are_read(file: Path) -> None:
    service = config(
        file,
        """
        [proxy.sticky]
        secret = "0123456789abcdef0123456789abcdef"
        [proxy.services.a]
        balance = "consistent_hash"
        hash = "header:X-User"
        sticky = { cookie = "a_route", ttl = 60 }
        endpoints = ["http://127.0.0.1:1", { url = "http://127.0.0.1:2", backup = true }]
        """,
    ).services["a"]

    assert (service.balance, service.hash) == ("consistent_hash", "header:X-User")
    assert service.sticky is not None
    assert (service.sticky.cookie, service.sticky.ttl) == ("a_route", 60)
    assert [endpoint.backup for endpoint in service.endpoints] == [False, True]


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("balance = 'consistent_hash'", "needs `hash`: header:NAME, cookie:NAME, address or path"),
        ("hash = 'path'", '`hash` belongs to balance = "consistent_hash"; leave it out'),
        ("decay = 3", '`decay` belongs to balance = "ewma"; leave it out'),
        ("balance = 'ewma'\ndecay = 0", "decay"),
        ("balance = 'consistent_hash'\nhash = 'header'", "`hash` is header:NAME, cookie:NAME"),
        ("balance = 'consistent_hash'\nhash = 'header:a b'", "`hash` is header:NAME"),
        ("balance = 'consistent_hash'\nhash = 'header:X_User'", "never forwarded"),
        ("balance = 'consistent_hash'\nhash = 'cookie:'", "`hash` is header:NAME"),
        ("sticky.cookie = 'a b'", "a cookie's name is"),
        ("sticky.cookie = ''", "a cookie's name is"),
        ("sticky.ttl = 0", "sticky.ttl"),
        ("endpoints = [{ url = 'http://a', backup = true }]", "one at least has to be none"),
    ],
)
def test_what_is_wrong_with_balancing_is_said(file: Path, toml: str, said: str) -> None:
    assert said in problem(file, f"[proxy.services.a]\n{toml}")


def test_two_services_may_not_overwrite_each_other_s_cookie(file: Path) -> None:
    toml = "[proxy.services]\na.sticky = {}\nb.sticky.ttl = 5\nc.sticky.cookie = 'c'"

    assert "services.a and services.b would overwrite each other's cookie" in problem(file, toml)


def test_a_secret_is_long_and_shown_to_nobody_but_a_worker(file: Path) -> None:
    assert "hunter2" not in (said := problem(file, "[proxy.sticky]\nsecret = 'hunter2'"))
    assert "openssl rand -hex 32" in said

    secret = "hunter2" * 5
    made = config(file, f"[proxy.sticky]\nsecret = '{secret}'")
    assert made.sticky.key == secret.encode()
    assert secret not in repr(made)
    assert secret not in str(made.model_dump(exclude={"listen"}))
    assert secret not in str(made.model_dump(mode="json", exclude={"listen"}))
    revealed = made.model_dump(mode="json", exclude={"listen"}, context=REVEALED)
    assert revealed["sticky"] == {"secret": secret}
