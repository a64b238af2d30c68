"""The README's first commands: sample upstreams behind the gateway."""

import json
from collections.abc import Iterator

import pytest

from tests.proxy.program import Program, eventually

HELLO = [{"role": "user", "content": "Hello out there"}]


@pytest.fixture(scope="module", params=["1", "2"])
def program(request: pytest.FixtureRequest) -> Iterator[Program]:
    with Program("--demo", "--workers", request.param) as program:
        yield program


def ask(program: Program, document: object) -> tuple[int, bytes]:
    return program.request("POST", "/api/chat", json.dumps(document).encode())


def test_a_chat_is_answered_by_both_upstreams_in_turn(program: Program) -> None:
    def answered() -> set[str]:
        status, body = ask(program, {"messages": HELLO})
        assert status == 200
        completion = json.loads(body)
        name = completion["model"]
        assert completion["choices"][0]["message"]["content"] == f"{name} heard: Hello out there"
        seen.add(name)
        return seen

    seen: set[str] = set()
    eventually(lambda: answered() == {"sample-1", "sample-2"})


def test_a_stream_comes_a_word_at_a_time(program: Program) -> None:
    status, body = ask(program, {"messages": HELLO, "stream": True})

    events = [event.removeprefix("data: ") for event in body.decode().split("\n\n")]
    assert status == 200
    assert events[-2:] == ["[DONE]", ""]
    deltas = [json.loads(event)["choices"][0]["delta"] for event in events[:-2]]
    words = [delta["content"] for delta in deltas[:-1]]
    assert words[1:] == [" heard:", " Hello", " out", " there"]
    assert deltas[-1] == {}


def test_the_first_word_comes_before_the_last_one_is_said(program: Program) -> None:
    message = {"role": "user", "content": "and " * 150}
    body = json.dumps({"messages": [message], "stream": True}).encode()
    with program.connect() as client:
        client.sendall(
            b"POST /api/chat HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
        )
        client.sendall(body)
        received = b""
        while b"data: " not in received:
            received += client.recv(4096)

    assert b"[DONE]" not in received


@pytest.mark.parametrize("body", [b"", b'{"messages"', b"\xff"])
def test_what_is_no_json_is_refused_in_the_house_shape(program: Program, body: bytes) -> None:
    status, answer = program.request("POST", "/api/chat", body)

    error = json.loads(answer)
    assert (status, error["code"]) == (400, 400)
    assert error["message"].startswith("the body is not valid JSON")
    assert error["service"] in ("sample-1", "sample-2")
    assert error["request_id"]


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({}, "messages"),
        ([], "messages"),
        ({"messages": []}, "messages"),
        ({"messages": [{"content": 1}]}, "messages"),
        ({"messages": HELLO, "stream": "yes"}, "stream"),
    ],
)
def test_what_is_no_chat_names_the_wrong_field(
    program: Program, document: object, field: str
) -> None:
    status, answer = ask(program, document)

    assert status == 422
    assert [detail["field"] for detail in json.loads(answer)["details"]] == [field]


def test_other_routes_do_not_hide_the_samples() -> None:
    with Program("--demo", "--route", "/other=http://127.0.0.1:1") as program:
        assert ask(program, {"messages": HELLO})[0] == 200


def test_configured_endpoints_are_not_replaced() -> None:
    endpoints = '{"llm-router": "http://127.0.0.1:1"}'
    with Program("--demo", UAITOOLS_PROXY__SERVICES=endpoints) as program:
        status = json.loads(program.get("/api/status")[1])

        (endpoint,) = status["services"]["llm-router"]["endpoints"]
        assert endpoint["address"] == "127.0.0.1:1"
