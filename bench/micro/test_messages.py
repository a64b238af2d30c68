"""Heads and bodies: microseconds to parse, rewrite and decode one."""

from __future__ import annotations

from pytest_benchmark.fixture import BenchmarkFixture

from bench.micro.messages import REQUEST, RESPONSE, unique_requests
from uaitools.proxy.headers import Trust, outgoing
from uaitools.proxy.http1.body import ChunkedBody, encode
from uaitools.proxy.http1.request import RequestHead
from uaitools.proxy.http1.response import parse_response
from uaitools.proxy.memo import Memo


def test_request_head_with_known_lines(benchmark: BenchmarkFixture) -> None:
    RequestHead(REQUEST)
    RequestHead(REQUEST)

    head = benchmark(RequestHead, REQUEST)

    assert head.path == b"/api/chat"


def test_request_head_with_three_new_lines(benchmark: BenchmarkFixture) -> None:
    # The next head is made in the same call: some 0.5 us of the figure.
    heads = unique_requests()

    head = benchmark(lambda: RequestHead(next(heads)))

    assert head.path == b"/api/chat"


def test_making_a_unique_head(benchmark: BenchmarkFixture) -> None:
    heads = unique_requests()

    assert benchmark(lambda: next(heads)).startswith(b"GET /api/chat?q=")


def test_response_head(benchmark: BenchmarkFixture) -> None:
    assert benchmark(parse_response, RESPONSE).body == 133


def test_outgoing_head(benchmark: BenchmarkFixture) -> None:
    head = RequestHead(REQUEST)

    prefix = benchmark(outgoing, head, head.path, Trust([], trusted=False))

    assert prefix.endswith(b"X-Forwarded-For: ")


def test_memo_hit(benchmark: BenchmarkFixture) -> None:
    memo: Memo[int] = Memo(capacity=512, key_limit=2048)
    for _ in range(2):  # what comes once is not kept
        memo.put(REQUEST, 1)

    assert benchmark(memo.get, REQUEST) == 1


def test_memo_miss_of_heads_that_never_repeat(benchmark: BenchmarkFixture) -> None:
    memo: Memo[int] = Memo(capacity=512, key_limit=2048)
    heads = unique_requests()

    def miss() -> None:
        head = next(heads)
        if memo.get(head) is None:
            memo.put(head, 1)

    benchmark(miss)

    assert len(memo) <= 2 * 512


def test_chunked_body_of_100_events(benchmark: BenchmarkFixture) -> None:
    event = b'data: {"choices":[{"index":0,"delta":{"content":"token"}}]}\n\n'
    data = encode(event, done=False) * 100 + encode(b"", done=True)

    payload = benchmark(lambda: ChunkedBody(502).feed(data))

    assert payload == event * 100


def test_chunked_body_of_64_kib(benchmark: BenchmarkFixture) -> None:
    data = encode(bytes(1 << 16), done=True)

    assert len(benchmark(lambda: ChunkedBody(502).feed(data))) == 1 << 16
