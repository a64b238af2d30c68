from collections.abc import Mapping
from pathlib import Path

import pytest
from pydantic import Field, ValidationError

from uaitools.config import (
    Address,
    ConfigError,
    Flag,
    ListenAddress,
    Model,
    Settings,
    load,
)


class Timeouts(Model):
    connect: float = Field(default=3, gt=0)


class Endpoint(Model):
    url: str
    weight: int = 1


class Upstream(Model):
    endpoints: tuple[str | Endpoint, ...] = ()
    timeouts: Timeouts = Timeouts()
    api_key: str | None = None


class Gateway(Model):
    listen: ListenAddress = Address("127.0.0.1", 8081)
    workers: int = 1
    trusted_proxies: tuple[str, ...] = ()
    services: dict[str, str | Upstream] = Field(default_factory=dict)


class Hub(Model):
    channels: int = 8


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)  # so that messages name it as users do
    return Path("uaitools.toml")


def settings(
    toml: str = "", file: Path | None = None, environ: Mapping[str, str] | None = None, *flags: Flag
) -> Settings:
    if file is not None:
        file.write_text(toml, "utf-8")
    return load({"proxy": Gateway}, file=file, environ=environ or {}, flags=flags)


def problems(
    toml: str = "", file: Path | None = None, environ: Mapping[str, str] | None = None, *flags: Flag
) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        settings(toml, file, environ, *flags)
    assert str(caught.value) == "\n".join(caught.value.problems)
    return caught.value.problems


def test_without_any_source_the_defaults_stand() -> None:
    loaded = settings()

    assert loaded.of(Gateway) == Gateway()
    assert loaded.common.log_level == "info"
    assert loaded.common.environment == "development"


def test_environment_overrides_the_file_and_a_flag_overrides_both(file: Path) -> None:
    toml = "[proxy]\nworkers = 2\nlisten = '127.0.0.1:1'\ntrusted_proxies = ['::1']"
    environ = {"UAITOOLS_PROXY__WORKERS": "3", "UAITOOLS_PROXY__LISTEN": "127.0.0.1:2"}

    loaded = settings(toml, file, environ, Flag("--listen", ("proxy", "listen"), "127.0.0.1:3"))

    assert loaded.of(Gateway) == Gateway(
        workers=3, listen=Address("127.0.0.1", 3), trusted_proxies=("::1",)
    )


def test_an_absent_flag_and_an_empty_variable_override_nothing(file: Path) -> None:
    environ = {"UAITOOLS_PROXY__WORKERS": "", "DATABASE_URL": ""}

    loaded = settings(
        "[proxy]\nworkers = 2", file, environ, Flag("--workers", ("proxy", "workers"), None)
    )

    assert loaded.of(Gateway).workers == 2
    assert loaded.common.database_url is None


def test_a_variable_may_hold_a_list_or_a_table_in_json() -> None:
    environ = {
        "UAITOOLS_PROXY__TRUSTED_PROXIES": '["10.0.0.0/8"]',
        "UAITOOLS_PROXY__SERVICES": '{"memory": "http://127.0.0.1:8017"}',
    }

    loaded = settings(environ=environ).of(Gateway)

    assert loaded.trusted_proxies == ("10.0.0.0/8",)
    assert loaded.services == {"memory": "http://127.0.0.1:8017"}


def test_a_variable_in_brackets_that_is_not_json_is_text() -> None:
    loaded = settings(environ={"UAITOOLS_PROXY__LISTEN": "[::1]:8081"})

    assert loaded.of(Gateway).listen == Address("::1", 8081)


def test_a_variable_finds_the_key_that_no_variable_could_be_called(file: Path) -> None:
    toml = "[proxy.services.LLM-router]\ntimeouts = { connect = 1 }"
    environ = {"UAITOOLS_PROXY__SERVICES__LLM_ROUTER__TIMEOUTS__CONNECT": "9"}

    loaded = settings(toml, file, environ)

    assert loaded.of(Gateway).services == {"LLM-router": Upstream(timeouts=Timeouts(connect=9))}


def test_a_variable_makes_a_table_of_a_shorthand(file: Path) -> None:
    toml = "[proxy.services]\nmemory = 'http://a'"
    environ = {"UAITOOLS_PROXY__SERVICES__MEMORY__ENDPOINTS": '["http://b"]'}

    loaded = settings(toml, file, environ)

    assert loaded.of(Gateway).services == {"memory": Upstream(endpoints=("http://b",))}


@pytest.mark.parametrize("url", ["redis://a", "rediss://u:p@a:6380/1", "unix:///run/redis.sock"])
def test_a_redis_is_named_by_a_url(file: Path, url: str) -> None:
    assert settings("", file, {"REDIS_URL": url}).common.redis_url == url


@pytest.mark.parametrize("url", ["127.0.0.1:6379", "http://a", "redis://", "redis://u:hush@a:x"])
def test_what_is_no_redis_is_refused(file: Path, url: str) -> None:
    with pytest.raises(ConfigError, match="redis://HOST") as found:
        settings("", file, {"REDIS_URL": url})
    assert "hush" not in str(found.value)


@pytest.mark.parametrize("url", ["mysql://u:hush@a/b", "sqlite:///a", "host=a password=hush", "a"])
def test_what_is_no_postgresql_is_refused(file: Path, url: str) -> None:
    with pytest.raises(ConfigError, match="database_url: is postgresql://") as found:
        settings("", file, {"DATABASE_URL": url})
    assert "hush" not in str(found.value)


@pytest.mark.parametrize("url", ["postgresql://u:p@a:5433/b", "postgres:///b?host=/run"])
def test_a_postgresql_is_named_by_a_url(file: Path, url: str) -> None:
    assert settings("", file, {"DATABASE_URL": url}).common.database_url == url


def test_database_and_redis_are_read_under_their_usual_names(file: Path) -> None:
    environ = {"DATABASE_URL": "postgresql://env", "REDIS_URL": "redis://env"}

    common = settings("database_url = 'postgresql://file'", file, environ).common

    assert (common.database_url, common.redis_url) == ("postgresql://env", "redis://env")


def test_our_own_name_of_the_database_wins_over_the_usual_one() -> None:
    environ = {"UAITOOLS_DATABASE_URL": "postgresql://ours", "DATABASE_URL": "postgresql://usual"}

    assert settings(environ=environ).common.database_url == "postgresql://ours"


def test_tables_and_variables_of_other_components_are_accepted_unseen(file: Path) -> None:
    file.write_text("[proxy]\nanything = 1\n[hub]\nchannels = 2\n", "utf-8")

    loaded = load({"hub": Hub}, file=file, environ={"UAITOOLS_PROXY__X": "1"})

    assert loaded.of(Hub).channels == 2
    with pytest.raises(LookupError, match="Gateway was not loaded"):
        loaded.of(Gateway)


@pytest.mark.parametrize("table", ["tls", "cache"])
def test_a_table_that_nothing_reads_is_an_error_and_not_a_promise(file: Path, table: str) -> None:
    with pytest.raises(ConfigError, match=f"{table}: unknown key"):
        settings(f"[{table}]\nrequired = true", file)


def test_several_components_load_from_one_file(file: Path) -> None:
    file.write_text("log_level = 'debug'\n[hub]\nchannels = 2\n[proxy]\nworkers = 3\n", "utf-8")

    loaded = load({"proxy": Gateway, "hub": Hub}, file=file, environ={})

    assert (loaded.of(Hub).channels, loaded.of(Gateway).workers) == (2, 3)
    assert loaded.common.log_level == "debug"


def test_settings_are_immutable() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        settings().of(Gateway).workers = 2  # type: ignore[misc]


UNKNOWN_TOP = (
    "auth, data_dir, database_url, environment, hub, insight, limits, log_level, memory, proxy,"
    " redis_url, registry"
)


@pytest.mark.parametrize(
    ("toml", "expected"),
    [
        (
            "[proxy.services.llm-router.timeouts]\nconect = 3",
            'proxy.services.llm-router.timeouts.conect: unknown key; did you mean "connect"?',
        ),
        ("log_levl = 'info'", 'log_levl: unknown key; did you mean "log_level"?'),
        ("[proxi]\nworkers = 1", 'proxi: unknown key; did you mean "proxy"?'),
        ("[qqq]", f"qqq: unknown key; known here: {UNKNOWN_TOP}"),
        ("proxy = 3", "proxy: must be a table, got 3"),
        ("[proxy]\nworkers = 'many'", 'proxy.workers: must be an integer, got "many"'),
        ("[proxy]\nworkers = 1.5", "proxy.workers: must be an integer, got 1.5"),
        ("[proxy]\ntrusted_proxies = '::1'", 'proxy.trusted_proxies: must be a list, got "::1"'),
        (
            "[proxy.services.a]\nendpoints = [{ weight = 2 }]",
            "proxy.services.a.endpoints[0].url: is missing",
        ),
        (
            "[proxy.services.a]\nendpoints = [5]",
            "proxy.services.a.endpoints[0]: must be text, got 5, or must be a table, got 5",
        ),
        (
            "[proxy.services.a.timeouts]\nconnect = 0",
            "proxy.services.a.timeouts.connect: must be greater than 0, got 0",
        ),
        (
            "[proxy.services.a.timeouts]\nconnect = inf",
            "proxy.services.a.timeouts.connect: must be a finite number, got Infinity",
        ),
        (
            "log_level = 'loud'",
            "log_level: must be 'debug', 'info', 'warning' or 'error', got \"loud\"",
        ),
    ],
)
def test_a_problem_names_file_key_and_reason(file: Path, toml: str, expected: str) -> None:
    assert problems(toml, file) == (f"uaitools.toml: {expected}",)


def test_a_problem_names_the_variable_that_made_it(file: Path) -> None:
    environ = {"UAITOOLS_PROXY__WORKERS": "many", "UAITOOLS_PROXY__SERVICES__A": '{"x": 1}'}

    assert problems("[proxy]\nworkers = 2", file, environ) == (
        'environment UAITOOLS_PROXY__WORKERS: proxy.workers: must be an integer, got "many"',
        (
            "environment UAITOOLS_PROXY__SERVICES__A: proxy.services.a.x: "
            "unknown key; known here: api_key, endpoints, timeouts"
        ),
    )


def test_an_unknown_variable_of_ours_is_refused() -> None:
    assert problems(environ={"UAITOOLS_LOG_LEVL": "info", "OTHER": "x"}) == (
        'environment UAITOOLS_LOG_LEVL: log_levl: unknown key; did you mean "log_level"?',
    )


def test_a_problem_names_the_flag_that_made_it() -> None:
    flag = Flag("--listen", ("proxy", "listen"), "8081")

    assert problems("", None, {"UAITOOLS_PROXY__LISTEN": "bad"}, flag) == (
        (
            "flag --listen: proxy.listen: must be HOST:PORT, "
            "for example 127.0.0.1:8081, 0.0.0.0:8081 or [::1]:8081, got '8081'"
        ),
    )


def test_all_problems_are_reported_at_once(file: Path) -> None:
    found = problems("x = 1\n[proxy]\ny = 2", file, {"UAITOOLS_PROXY__WORKERS": "no"})

    assert [line.split(": ")[:2] for line in found] == [
        ["uaitools.toml", "x"],
        ["environment UAITOOLS_PROXY__WORKERS", "proxy.workers"],
        ["uaitools.toml", "proxy.y"],
    ]


def test_a_problem_does_not_repeat_a_secret(file: Path) -> None:
    assert problems("redis_url = 12345\n[proxy.services.a]\napi_key = 12345", file) == (
        "uaitools.toml: redis_url: must be text",
        "uaitools.toml: proxy.services.a.api_key: must be text",
    )


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"[proxy\n", "not valid TOML: Expected ']' at the end of a table declaration (at line 1"),
        (b"a = '\xff'", "not UTF-8 text, at byte 5"),
        (None, "no such file"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(
    file: Path, content: bytes | None, expected: str
) -> None:
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(ConfigError) as caught:
        load({}, file=file, environ={})

    assert caught.value.problems[0].startswith(f"uaitools.toml: {expected}")


def test_a_directory_is_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load({}, file=tmp_path, environ={})
