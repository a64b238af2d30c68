"""bench.hub: its clients count what comes, its arithmetic holds, and it runs."""

import subprocess
import sys
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.audience import Audience, Listener
from bench.broadcasts import Cost, Profile, read_held
from bench.hardship import Drain, Stuck, highest
from bench.hub import Found, arguments, over, ratios, table
from bench.peers.hubs import GORILLA, OURS, Published

ROOT = Path(__file__).parent.parent
UPGRADED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
SIZE = 200
PING = b"\x89\x02hi"


def frame(payload: bytes) -> bytes:
    length = len(payload)
    size = bytes([length]) if length < 126 else b"\x7e" + length.to_bytes(2, "big")
    return b"\x81" + size + payload


def message(offset: int, size: int = SIZE) -> bytes:
    head = b'{"type":"message","offset":%d,"data":"' % offset
    return head + b"x" * (size - len(head) - 2) + b'"}'


class Counting(Audience):
    """An audience whose only client is given bytes instead of a connection."""

    def __init__(self) -> None:
        super().__init__(0)
        self.know(SIZE)
        self.client = Listener(self)

    def upgraded(self, listener: Listener) -> None:
        assert listener is self.client


# Messages of the expected length, others, what is no message, and pings, in any order and in any
# pieces.
FRAMES = st.lists(
    st.one_of(
        st.integers(1, 9).map(lambda offset: (frame(message(offset)), 1)),
        st.integers(100, 300).map(lambda size: (frame(message(1, size)), 1)),
        st.just((frame(b'{"type":"gap","from":1,"to":2}'), 0)),
        st.just((PING, 0)),
    ),
    max_size=40,
)


@given(FRAMES, st.lists(st.integers(1, 900), max_size=60))
def test_every_message_is_counted_once_however_it_is_cut(
    frames: list[tuple[bytes, int]], cuts: list[int]
) -> None:
    audience = Counting()
    audience.notices[b'"gap"'] = lambda _listener, _payload: None
    stream = UPGRADED + b"".join(data for data, _ in frames)

    for cut in cuts:
        piece, stream = stream[:cut], stream[cut:]
        if piece:
            audience.client.data_received(piece)
    audience.client.data_received(stream)

    assert audience.client.got == sum(count for _, count in frames)


def test_a_close_code_is_kept() -> None:
    audience = Counting()

    audience.client.data_received(UPGRADED + b"\x88\x02\x03\xe9")

    assert audience.client.closed == 1001


@pytest.mark.parametrize("offset", [1, 8, 9, 99, 12_345])
def test_published_messages_have_the_length_that_was_asked_for(offset: int) -> None:
    press = Published()
    press.learn(b'{"type":"message","offset":%d,"data":"abc"}' % offset)

    (request,) = press.requests(1, SIZE)
    body = orjson.loads(request.partition(b"\r\n\r\n")[2])

    told = b'{"type":"message","offset":%d,"data":%b}' % (offset + 1, orjson.dumps(body["data"]))
    assert len(told) == SIZE


def test_highest_rate_of_any_second() -> None:
    assert highest([0.0, 0.1, 0.9, 1.5, 5.0]) == 3
    assert highest([]) == 0


def test_how_long_a_loop_was_held() -> None:
    metrics = "# TYPE uaitools_hub_loop_held_seconds gauge\nuaitools_hub_loop_held_seconds 0.0042\n"

    assert read_held(metrics) == pytest.approx(4.2)
    assert read_held("other 1\n") is None


def cost(us: float) -> Cost:
    return Cost(us, 3.0, 0.7, 0.9, 1000)


def profile(hub: str, single: float, tick: float) -> Profile:
    return Profile(
        hub,
        connections=9_500,
        empty=40_000_000,
        idle=60_000_000,
        loaded=61_000_000,
        joins_per_s=8000.0,
        join_us=100.0,
        single=cost(single),
        tick=cost(tick),
        delays_ms=(50.0, 60.0),
        half_ms=30.0,
        waited_ms=(0.1, 0.2),
        held_ms=5.0,
    )


def test_a_hub_within_its_limits() -> None:
    found = Found({OURS: [profile(OURS, 4.0, 0.5)], GORILLA: [profile(GORILLA, 8.0, 4.0)]})
    found.stuck = Stuck(1000, 100, 20_000_000, 400_000, 5.0, 5.0, 1.01, 1.0, (9.0, 9.0), 0, 0)
    found.drain = Drain(9_500, 2000.0, 2050.0, (0.1, 4.7), {"1001": 9_500})

    assert over(found) == []
    assert ratios(found)["single, ours to gorilla's"] == 0.5
    assert "gorilla" in table(found)


def test_what_is_over_its_limit_is_named() -> None:
    found = Found({OURS: [profile(OURS, 7.0, 0.5)], GORILLA: [profile(GORILLA, 8.0, 4.0)]})

    assert over(found) == ["CPU of a delivery, to gorilla's: 0.875 > 0.8"]


def test_without_gorilla_there_are_no_ratios_to_it() -> None:
    found = Found({OURS: [profile(OURS, 7.0, 0.5)]}, skipped={GORILLA: "go is not installed"})

    assert over(found) == []
    assert "skipped gorilla: go is not installed" in table(found)


@pytest.mark.parametrize(
    "argv", [["--rounds", "0"], ["--peers", "phoenix"], ["--connections", "99999"]]
)
def test_wrong_flags_are_refused(argv: list[str]) -> None:
    with pytest.raises(SystemExit):
        arguments(argv)


def test_quick_run(tmp_path: Path) -> None:
    argv = [
        "--quick",
        "--json",
        "--peers",
        "uaitools",
        "websockets",
        "aiohttp",
        "--results",
        str(tmp_path),
    ]
    done = subprocess.run(
        [sys.executable, "-m", "bench.hub", *argv],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    found = orjson.loads(done.stdout)
    assert set(found["profiles"]) == {OURS, "websockets", "aiohttp"}
    assert found["skipped"] == {}
    assert found["profiles"][OURS][0]["held_ms"] > 0
    assert found["stuck"]["published"] == 2_000_000
    assert sum(found["drain"]["joins"]) == found["drain"]["connections"] == 200
