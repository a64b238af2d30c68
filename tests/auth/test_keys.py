from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from uaitools.auth.errors import Refused
from uaitools.auth.keys import ApiKeys, KeyRecord, id_of, new_key, parse, render

CREATED = datetime(2026, 1, 1, tzinfo=UTC)
NOW = CREATED.timestamp()

names = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters='"\\'))
scopes = st.lists(names.filter(lambda text: 0 < len(text) <= 128), max_size=4)
labels = st.text(min_size=1, max_size=128).filter(lambda s: s.isprintable() and s == s.strip())
times = st.datetimes(
    min_value=datetime(2026, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
    max_value=datetime(9000, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)


@given(labels, scopes, scopes, st.none() | times, st.none() | times)
def test_records_are_read_as_they_were_written(
    name: str,
    scopes: list[str],
    roles: list[str],
    expires: datetime | None,
    revoked: datetime | None,
) -> None:
    records = []
    for _ in range(2):
        _, record = new_key(name, scopes=scopes, roles=roles, created=CREATED, expires=expires)
        records.append(record.model_copy(update={"revoked": revoked}))

    assert list(parse(render(records))) == records


def test_a_key_has_256_random_bits_and_only_its_hash_is_stored() -> None:
    text, record = new_key("ci", scopes=["a"], created=CREATED)

    assert re.fullmatch(rf"uai_{record.id}_[A-Za-z0-9_-]{{43}}", text)
    assert record.sha256 == sha256(text.encode()).hexdigest()
    assert text.split("_", 2)[2].encode() not in render([record])
    assert len({new_key("ci", created=CREATED)[0] for _ in range(100)}) == 100


def test_a_key_is_found_with_what_it_may_do() -> None:
    text, record = new_key("ci", scopes=["a", "b"], roles=["r"], created=CREATED)

    principal = ApiKeys([record]).find(text.encode(), NOW)

    assert principal.id == f"key:{record.id}"
    assert principal.kind == "key"
    assert (principal.scopes, principal.roles) == (frozenset({"a", "b"}), frozenset({"r"}))


@given(st.binary(max_size=100), st.integers(0, 59))
def test_nothing_but_the_whole_key_is_accepted(other: bytes, end: int) -> None:
    text, record = new_key("ci", created=CREATED)
    keys = ApiKeys([record])
    wrong = [
        other,
        text.encode()[:end],
        text.encode() + other + b"x",
        text.upper().encode(),
        record.id.encode(),
        record.sha256.encode(),
        bytes.fromhex(record.sha256),
    ]

    for attempt in wrong:
        with pytest.raises(Refused, match="the API key is unknown"):
            keys.find(attempt, NOW)


def test_a_key_is_refused_from_its_expiry_on() -> None:
    expires = CREATED + timedelta(days=1)
    text, record = new_key("ci", created=CREATED, expires=expires)
    keys = ApiKeys([record])

    assert keys.find(text.encode(), expires.timestamp() - 0.001).expires == expires.timestamp()
    with pytest.raises(Refused, match="the API key has expired"):
        keys.find(text.encode(), expires.timestamp())


def test_a_revoked_key_is_refused() -> None:
    text, record = new_key("ci", created=CREATED)
    keys = ApiKeys([record.model_copy(update={"revoked": CREATED})])

    with pytest.raises(Refused, match="the API key has been revoked"):
        keys.find(text.encode(), NOW)


def test_the_id_of_a_key_is_found_in_the_whole_key() -> None:
    text, record = new_key("ci", created=CREATED)

    assert id_of(text) == id_of(record.id) == record.id


@pytest.mark.parametrize(
    ("name", "scopes", "problem"),
    [
        ("", [], "name must be 1 to 128 printable"),
        ("x" * 129, [], "name must be 1 to 128 printable"),
        ("a\nb", [], "name must be 1 to 128 printable"),
        ("a\x1b[2J", [], "name must be 1 to 128 printable"),
        (" a", [], "name must be 1 to 128 printable"),
        ("a", ["b c"], r"scopes\[0\] must be 1 to 128 ASCII"),
        ("a", ["b", ""], r"scopes\[1\] must be 1 to 128 ASCII"),
        ("a", ['"'], r"scopes\[0\] must be 1 to 128 ASCII"),
        ("a", ["\u00e9"], r"scopes\[0\] must be 1 to 128 ASCII"),
    ],
)
def test_names_that_could_not_travel_are_refused(
    name: str, scopes: list[str], problem: str
) -> None:
    with pytest.raises(ValueError, match=problem):
        new_key(name, scopes=scopes, created=CREATED)


def document(**changed: object) -> bytes:
    record = {
        "id": "abcdefghijkl",
        "name": "ci",
        "sha256": "0" * 64,
        "created": "2026-01-01T00:00:00Z",
    }
    record.update(changed)  # type: ignore[arg-type]
    return orjson.dumps({"version": 1, "keys": [record]})


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "not valid JSON"),
        (b"\xff", "not valid JSON"),
        (b"[]", "must be a table"),
        (b"{}", "version: is missing"),
        (b'{"version": 2, "keys": []}', "version: must be 1"),
        (b'{"version": 1, "keys": {}}', "keys: must be a list"),
        (b'{"version": 1, "keys": [1]}', r"keys\[0\]: must be a table"),
        (document(id="short"), r"keys\[0\]\.id: must be 12 lower-case letters and digits"),
        (document(sha256="x" * 64), r"keys\[0\]\.sha256: must be the SHA-256 of a key"),
        (document(sha256="A" * 64), r"keys\[0\]\.sha256: must be the SHA-256 of a key"),
        (document(created="yesterday"), r"keys\[0\]\.created: "),
        (document(created="2026-01-01T00:00:00"), r"keys\[0\]\.created: .*timezone"),
        (document(scopes=["a b"]), r"keys\[0\]\.scopes\[0\]: must be 1 to 128"),
        (document(scope=["a"]), r'keys\[0\]\.scope: unknown key; did you mean "scopes"'),
        (document(name="a\u202eb"), r"keys\[0\]\.name: must be 1 to 128 printable"),
    ],
)
def test_a_wrong_file_is_refused_with_place_and_reason(data: bytes, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse(data)


def test_two_keys_have_neither_one_id_nor_one_hash() -> None:
    _, record = new_key("ci", created=CREATED)
    other = record.model_copy(update={"sha256": "0" * 64})

    for records, field in (([record, other], "id"), ([record, record], "id")):
        with pytest.raises(ValueError, match=f"two keys have one {field}"):
            parse(render(records))
    other = record.model_copy(update={"id": "abcdefghijkl"})
    with pytest.raises(ValueError, match="two keys have one sha256"):
        parse(render([record, other]))


def test_a_key_that_was_pasted_into_the_file_is_not_repeated() -> None:
    text, _ = new_key("ci", created=CREATED)

    for field in ("id", "sha256"):
        with pytest.raises(ValueError, match=field) as caught:
            parse(document(**{field: text}))
        assert text not in str(caught.value)


def test_a_record_shows_no_hash() -> None:
    _, record = new_key("ci", created=CREATED)
    assert isinstance(record, KeyRecord)
    assert repr(ApiKeys([record])) == "<ApiKeys 1>"
