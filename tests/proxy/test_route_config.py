"""`[[proxy.routes]]`: what is accepted, and what is refused with which words."""

from argparse import Namespace
from pathlib import Path

import pytest

from uaitools.config import ConfigError, load
from uaitools.proxy.config import DEFAULT_ROUTES, ProxyConfig, RouteSettings
from uaitools.proxy.flags import RouteFlag, load_with
from uaitools.proxy.routing.table import route_of

EVERYTHING = """
[[proxy.routes]]
path = "/users/{id}/posts/{post}"
host = "*.Example.org."
methods = ["GET"]
headers = { X-Version = "2", x-beta = "*" }
query = { beta = "1" }
split = [{ service = "a", weight = 90 }, { service = "b" }]
sticky = "cookie:side"
rewrite = "/v2/{post}/{id}"
host_header = "internal:81"
request_headers = { set = { X-A = "1" }, add = { X-B = "2" }, remove = ["X-C"] }
response_headers = { remove = ["Server"] }
max_body = 5
[[proxy.routes]]
path = "/old"
exact = true
redirect = { to = "https://example.org{path}{query}", status = 301 }
[[proxy.routes]]
path = "/down"
respond = { status = 503, body = "later", content_type = "text/html" }
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)  # so that messages name it as users do
    return Path("uaitools.toml")


def routes(file: Path, toml: str) -> tuple[RouteSettings, ...]:
    file.write_text(toml, "utf-8")
    return load({"proxy": ProxyConfig}, file=file, environ={}).of(ProxyConfig).routes


def problem(file: Path, toml: str) -> str:
    """The one thing that is wrong with a route, or with several."""
    with pytest.raises(ConfigError) as caught:
        routes(file, toml)
    (only,) = caught.value.problems
    return only.removeprefix("uaitools.toml: ")


def test_every_key_of_a_route_is_read(file: Path) -> None:
    users, old, down = routes(file, EVERYTHING)

    assert users.host == "*.example.org"
    assert users.label == "*.example.org/users/{id}/posts/{post}"
    assert users.service_names == ("a", "b")
    assert [target.weight for target in users.split] == [90, 1]
    assert old.redirect is not None
    assert old.redirect.status == 301
    assert down.respond is not None
    assert down.service_names == ()


def test_routes_survive_the_way_to_a_worker(file: Path) -> None:
    config = ProxyConfig(routes=routes(file, EVERYTHING))
    sent = config.model_dump(mode="json", exclude={"listen", "workers"})

    assert ProxyConfig.model_validate(sent) == config


def test_a_route_of_the_data_plane_has_all_of_it(file: Path) -> None:
    users, old, down = map(route_of, routes(file, EVERYTHING))

    assert users.host == b"*.example.org"
    assert users.methods == {b"GET"}
    assert [(c.name, c.value) for c in users.conditions] == [
        (b"x-beta", None),
        (b"x-version", b"2"),
        (b"beta", b"1"),
    ]
    assert users.split is not None
    assert users.upstream_path(b"/users/7/posts/8") == b"/v2/8/7"
    assert (users.service, users.host_header, users.max_body) == (None, b"internal:81", 5)
    assert users.request_edits is not None
    assert users.response_edits is not None
    assert old.answer is not None
    assert down.answer is not None
    assert (old.request_edits, old.split, down.service) == (None, None, None)


@pytest.mark.parametrize(
    ("toml", "reason"),
    [
        ("", "a route has one of service, split, redirect and respond"),
        ("service = 'a'\nrespond = {}", "a route has one of service, split, redirect and respond"),
        ("path = '/{id}'\nexact = true\nservice = 'a'", "a path with parameters is a template"),
        ("service = 'a'\nsticky = 'address'", "sticky is for a split"),
        ("service = 'a'\nrewrite = '/{id}'", "the rewrite's {id} is no parameter of the path"),
        (
            "path = '/{id}'\nservice = 'a'\nrewrite = '/x{id}'",
            "in a rewrite a parameter is a whole",
        ),
        ("path = '/{id}'\nservice = 'a'\nrewrite = '/{id...}'", "in a rewrite a parameter is a"),
        ("path = '/{r...}'\nservice = 'a'\nrewrite = '/{r}/a'", "in a rewrite the parameter that"),
        ("respond = {}\nrewrite = '/a'", "only a route to a service has a rewrite"),
        ("redirect = { to = '/{id}' }", "the redirect's {id} is no parameter of the path"),
    ],
)
def test_what_does_not_fit_together_is_refused(file: Path, toml: str, reason: str) -> None:
    path = "" if "path = " in toml else "path = '/a'\n"
    text = problem(file, f"[[proxy.routes]]\n{path}{toml}")

    assert text.startswith(f"proxy.routes[0]: {reason}")


@pytest.mark.parametrize(
    ("toml", "place", "reason"),
    [
        ("host = 'a.org:80'", "host", "a host is a name without port"),
        ("host = '*'", "host", "a host is a name"),
        ("host = 'a.*.org'", "host", "a host is a name"),
        ("host = '*a.org'", "host", "a host is a name"),
        ("host = 'bücher.org'", "host", "a host is a name"),
        ("path = '/x{id}'", "path", "a parameter is a whole segment"),
        ("path = '/{a}/{a}'", "path", "the parameter a is named twice"),
        ("path = '/{r...}/a'", "path", "a parameter that takes the rest stands at the end"),
        ("headers = { Host = 'a' }", "headers", "'Host' is no header of a route's"),
        ("headers = { X-User-Id = 'a' }", "headers", "'X-User-Id' is no header of a route's"),
        ("headers = { X_A = 'a' }", "headers", "'X_A' is no header of a route's"),
        ("headers = { X-A = ' a' }", "headers", "a header's value has no space at its ends"),
        ("headers = { X-A = 'a', x-a = 'b' }", "headers", "a header stands here twice"),
        ("split = [{ service = 'a' }, { service = 'a' }]", "split", "a service stands in a split"),
        ("split = [{ service = 'a', weight = 0 }]", "split", "a split needs a weight"),
        ("sticky = 'cookie'", "sticky", "sticky is 'cookie:NAME', 'header:NAME' or 'address'"),
        ("sticky = 'cookie:a b'", "sticky", "sticky is"),
        ("sticky = 'header:Host'", "sticky", "'Host' is no header of a route's"),
        ("host_header = 'a b'", "host_header", "a Host header is a host"),
        ("host_header = ''", "host_header", "a Host header is a host"),
        ("redirect = { to = '' }", "redirect.to", "a redirect goes to a path or"),
        ("redirect = { to = 'a' }", "redirect.to", "a redirect goes to a path or"),
        ("redirect = { to = '//evil.org' }", "redirect.to", "a redirect goes to a path or"),
        ("redirect = { to = 'ftp://a/' }", "redirect.to", "a redirect goes to a path or"),
        ("redirect = { to = 'https://a{id}' }", "redirect.to", "a redirect goes to a path or"),
        ("redirect = { to = 'https://{id}/' }", "redirect.to", "a redirect goes to a path or"),
        ("redirect = { to = 'https://u@a/' }", "redirect.to", "a redirect goes to a path or"),
        ("redirect = { to = '/a b' }", "redirect.to", "a redirect goes to a path or"),
        ('redirect = { to = "/a\\r\\nX: 1" }', "redirect.to", "a redirect goes to a path or"),
        ("redirect = { to = 'https://a/{path}' }", "redirect.to", "{path} begins with a slash"),
        ("redirect = { to = '/a', status = 200 }", "redirect.status", ""),
        ("respond = { status = 100 }", "respond.status", ""),
        ("respond = { status = 299 }", "respond.status", "a status is one that HTTP defines"),
        ("respond = { status = 204, body = 'a' }", "respond", "an answer with status 204"),
        ('respond = { content_type = "a\\r\\nb" }', "respond.content_type", "a header's value is"),
    ],
)
def test_a_value_of_another_form_is_refused_with_its_place(
    file: Path, toml: str, place: str, reason: str
) -> None:
    fixed = "" if toml.startswith("path") else "path = '/a'\n"
    action = "" if toml.startswith(("split", "redirect", "respond")) else "service = 'a'\n"
    text = problem(file, f"[[proxy.routes]]\n{fixed}{action}{toml}")

    assert text.startswith(f"proxy.routes[0].{place}: {reason}")


@pytest.mark.parametrize("key", ["request_headers", "response_headers"])
@pytest.mark.parametrize(
    ("edits", "reason"),
    [
        ("set = { Content-Length = '1' }", "'Content-Length' is no header of a route's"),
        ("remove = ['x-forwarded-for']", "'x-forwarded-for' is no header of a route's"),
        ("add = { Via = 'a' }", "'Via' is no header of a route's"),
        ("set = { 'a b' = 'c' }", "'a b' is no header of a route's"),
        ("set = { A = 'b' }, remove = ['a']", "a stands here twice"),
        ('set = { A = "b\\r\\nC: d" }', "a header's value is one line of ASCII"),
        ("add = { A = ' b' }", "a header's value is one line of ASCII"),
        ("add = { A = 'é' }", "a header's value is one line of ASCII"),
    ],
)
def test_header_edits_cannot_break_a_message_or_trust(
    file: Path, key: str, edits: str, reason: str
) -> None:
    text = problem(file, f"[[proxy.routes]]\npath = '/'\nservice = 'a'\n{key} = {{ {edits} }}")

    assert text.startswith(f"proxy.routes[0].{key}: {reason}")


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        ("path = '/a'", "path = '/a/'", "any method on /a/"),
        ("path = '/u/{id}'", "path = '/u/{name}'", "any method on /u/{name}"),
        ("path = '/a'\nhost = 'a.org'", "path = '/a'\nhost = 'A.org.'", "any method on a.org/a"),
        (
            "path = '/'\nheaders = { A = '1' }",
            "path = '/'\nheaders = { a = '1' }",
            "any method on /",
        ),
        ("path = '/a'\nexact = true", "path = '/a'\nexact = true", "any method on /a"),
    ],
)
def test_routes_that_take_the_same_are_refused(file: Path, one: str, other: str, both: str) -> None:
    toml = "".join(f"[[proxy.routes]]\nservice = 'a'\n{route}\n" for route in (one, other))

    assert problem(file, toml) == f"proxy: routes[0] and routes[1] both take {both}"


@pytest.mark.parametrize(
    "other",
    [
        *("exact = true", "host = 'a.org'", "headers = { A = '*' }", "query = { a = '1' }"),
        "methods = ['GET']",
    ],
)
def test_routes_that_differ_in_what_they_ask_may_share_a_path(file: Path, other: str) -> None:
    one = "[[proxy.routes]]\npath = '/a'\nservice = 'a'\n"

    assert len(routes(file, f"{one}{one}{other}\n")) == 2


def with_flags(file: Path, toml: str, *flags: str) -> ProxyConfig:
    file.write_text(toml, "utf-8")
    options = Namespace(
        config=file,
        listen=None,
        workers=None,
        data_dir=None,
        log_level=None,
        insecure=False,
        route=[RouteFlag.parse(flag) for flag in flags],
    )
    return load_with(options, {}, None).of(ProxyConfig)


def test_a_route_flag_replaces_the_prefix_of_the_file_and_no_narrower_route(file: Path) -> None:
    route = "[[proxy.routes]]\npath = '/a'\nservice = 'a'\n"
    narrower = (
        *("exact = true", "host = 'a.org'", "headers = { A = '1' }"),
        "response_headers = { set = { X-A = '1' } }\nquery = { a = '1' }",
    )
    toml = route + "".join(f"{route}{line}\n" for line in narrower)

    config = with_flags(file, toml, "/a=http://127.0.0.1:9001")

    assert config.routes[:-1] == routes(file, toml)[1:]
    assert config.routes[-1] == RouteSettings(path="/a", service="a")


def test_a_route_flag_may_be_a_template(file: Path) -> None:
    config = with_flags(file, "", "/users/{id}=http://127.0.0.1:9001")

    (route,) = config.routes
    assert route.path == "/users/{id}"
    assert not route.anyone
    assert all(default.anyone for default in DEFAULT_ROUTES)


def test_a_route_that_answers_by_itself_has_no_hooks() -> None:
    hooks = ["tests.e2e.test_hooks:of_a_module"]
    with pytest.raises(ValueError, match="hooks are for routes to a service"):
        RouteSettings.model_validate({"path": "/", "respond": {"status": 200}, "hooks": hooks})
