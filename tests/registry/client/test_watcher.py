"""The watcher against a registry that goes, comes back, forgets, falls silent, sends nonsense."""

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.peers.gateways import eventually
from tests.peers.registry import QUICK, RegistryPeer, instance, registry_peer
from tests.peers.servers import free_port
from uaitools.registry.client import Observation, View, Watcher
from uaitools.registry.client.connection import LARGEST


@asynccontextmanager
async def watching(*registries: RegistryPeer, **settings: Any) -> AsyncIterator[Watcher]:
    settings = {"timing": QUICK, "name": "w-1", **settings}
    async with Watcher([peer.url for peer in registries], **settings) as watcher:
        yield watcher


class Views(list[View]):
    """An `apply` that remembers; the last view is the one in force."""

    def __call__(self, view: View) -> None:
        self.append(view)

    @property
    def ids(self) -> list[str]:
        return [member.id for member in self[-1].members] if self else []

    @property
    def fresh(self) -> bool:
        return bool(self) and not self[-1].stale


async def test_a_list_is_applied_and_acknowledged(registry: RegistryPeer) -> None:
    registry.lists_of("api", instance("a", tags=["gpu"], meta={"k": "v"}, zone="eu"), index=7)
    async with watching(registry) as watcher:
        watched = watcher.watch("api", views := Views())
        await eventually(lambda: registry.said("applied"))

        assert views == [watched.view]
        assert not views[0].stale
        member = views[0].members[0]
        assert (member.url, member.zone, sorted(member.tags)) == (
            "http://10.0.0.1:9001",
            "eu",
            ["gpu"],
        )
        assert registry.heard[0] == {"type": "hello", "watcher": "w-1"}
        assert registry.said("applied")[0] == {
            "type": "applied",
            "service": "api",
            "index": 7,
            "epoch": "e1",
        }


async def test_changes_are_applied_as_they_come(registry: RegistryPeer) -> None:
    registry.lists_of("api", instance("a"))
    async with watching(registry) as watcher:
        watcher.watch("api", views := Views())
        await eventually(lambda: views)
        changes: list[dict[str, Any]] = [
            {"type": "put", "instance": instance("b")},
            {"type": "put", "instance": instance("a", health="draining")},
            {"type": "remove", "id": "b", "cause": "deregistered"},
        ]
        for index, change in enumerate(changes, start=2):
            await registry.say(**change, service="api", index=index)
            said = {"type": "applied", "service": "api", "index": index, "epoch": "e1"}
            await eventually(partial(registry.heard.__contains__, said))

        found = [[(member.id, str(member.health)) for member in view.members] for view in views]
        assert found == [
            [("a", "passing")],
            [("a", "passing"), ("b", "passing")],
            [("a", "draining"), ("b", "passing")],
            [("a", "draining")],
        ]


async def test_what_is_slow_to_apply_is_applied_for_many_changes_at_once(
    registry: RegistryPeer,
) -> None:
    registry.lists_of("api", instance("a"))
    applied: list[int] = []

    def apply(view: View) -> None:
        time.sleep(0.02)
        applied.append(view.index)

    async with watching(registry) as watcher:
        watcher.watch("api", apply)
        await eventually(lambda: applied)
        for index in range(2, 202):
            await registry.say(
                type="put", service="api", index=index, instance=instance("a", weight=index)
            )
        await eventually(lambda: applied[-1] == 201)

        assert len(applied) < 50


async def test_its_last_words_are_heard(registry: RegistryPeer) -> None:
    registry.lists_of("api", instance("a"))
    async with watching(registry) as watcher:
        watched = watcher.watch("api", views := Views())
        await eventually(lambda: views)
        watched.close()
    await eventually(lambda: registry.said("unwatch"))


async def test_a_gap_asks_for_the_list_again(registry: RegistryPeer) -> None:
    registry.lists_of("api", instance("a"))
    async with watching(registry, timing=replace(QUICK, repeat=30.0)) as watcher:
        watcher.watch("api", views := Views())
        await eventually(lambda: views)
        registry.lists_of("api", instance("a"), instance("b"), instance("c"), index=3)
        await registry.say(type="put", service="api", index=3, instance=instance("c"))
        await eventually(lambda: views.ids == ["a", "b", "c"])

        assert len(registry.said("watch")) == 2
        assert [len(view.members) for view in views] == [1, 3]


async def test_the_same_revision_is_acknowledged_again_and_again(registry: RegistryPeer) -> None:
    registry.lists_of("api", instance("a"))
    async with watching(registry) as watcher:
        watcher.watch("api", views := Views())
        await eventually(lambda: len(registry.said("applied")) >= 4)

        assert len(views) == 1
        assert len(registry.said("watch")) == 1


async def test_what_cannot_be_applied_is_not_acknowledged_and_offered_again(
    registry: RegistryPeer,
) -> None:
    registry.lists_of("api", instance("a"))
    broken = True
    seen = Views()

    def apply(view: View) -> None:
        seen(view)
        if broken:
            raise RuntimeError("no room")

    async with watching(registry) as watcher:
        with capture_logs() as logs:
            watcher.watch("api", apply)
            await eventually(lambda: len(seen) >= 3)
            assert {one["index"] for one in registry.said("applied")} == {0}  # it lives
            assert watcher.connected
            broken = False
            await eventually(lambda: registry.said("applied")[-1]["index"] == 1)

    assert logs[-1]["event"] == "a list was not applied"


async def test_a_revision_counts_once_all_who_watch_have_applied_it(registry: RegistryPeer) -> None:
    registry.lists_of("api", instance("a"))

    def refuse(view: View) -> None:
        raise RuntimeError(view.service)

    async with watching(registry) as watcher:
        watcher.watch("api", views := Views())
        with capture_logs():
            second = watcher.watch("api", refuse)
            await eventually(lambda: views)
            await registry.say(type="put", service="api", index=2, instance=instance("b"))
            await eventually(lambda: len(views) == 2)
            assert {one["index"] for one in registry.said("applied")} <= {0, 1}
            second.close()
        await eventually(lambda: registry.said("applied")[-1]["index"] == 2)

        assert len(registry.said("watch")) == 1
        assert registry.said("unwatch") == []


async def test_while_the_registry_is_away_the_last_view_stays_and_is_stale_once(
    registry: RegistryPeer,
) -> None:
    registry.lists_of("api", instance("a"))
    async with watching(registry) as watcher:
        watcher.watch("api", views := Views())
        await eventually(lambda: views)
        with capture_logs() as logs:
            await registry.stop()
            await eventually(lambda: len(views) == 2)
            await eventually(lambda: len(logs) >= 2)  # lost, and refused since
            assert not watcher.connected
            assert views[1] == replace(views[0], stale=True)

            registry.lists_of("api", instance("a"), index=1)
            await registry.start()
            await eventually(lambda: views.fresh)

        assert [view.stale for view in views] == [False, True, False]
        assert views[2] == views[0]
        reasons = [line["reason"] for line in logs if line["log_level"] == "warning"]
        assert len(reasons) == len(set(reasons))  # each is told once, however often it is tried


async def test_a_registry_that_has_forgotten_all_empties_nothing(registry: RegistryPeer) -> None:
    registry.lists_of("api", instance("a"), instance("b"), index=9)
    async with watching(registry) as watcher:
        watcher.watch("api", views := Views())
        await eventually(lambda: views)
        await registry.stop()
        registry.epoch = "e2"
        registry.lists_of("api", index=0, authoritative=False, cause="backend reset")
        await registry.start()
        await eventually(lambda: views[-1].epoch == "e2")
        assert views.ids == ["a", "b"]
        assert views[-1].stale

        await registry.say(type="put", service="api", index=1, instance=instance("b", generation=2))
        await eventually(lambda: views[-1].index == 1)
        assert [member.generation for member in views[-1].members] == [1, 2]

        # Once the registry is sure, its word counts, without anybody having to change.
        registry.lists_of("api", instance("b", generation=2), index=1)
        await eventually(lambda: views.ids == ["b"])
        assert views.fresh


async def test_an_empty_list_is_believed_when_it_is_authoritative(registry: RegistryPeer) -> None:
    registry.lists_of("api", instance("a"))
    async with watching(registry) as watcher:
        watcher.watch("api", views := Views())
        await eventually(lambda: views)
        registry.lists_of("api", index=2, cause="deregistered")
        registry.reset()
        await eventually(lambda: views.fresh and views.ids == [])


async def test_the_next_registry_is_asked_when_one_is_away(registry: RegistryPeer) -> None:
    async with registry_peer() as other:
        for peer in (registry, other):
            peer.lists_of("api", instance("a"))
        async with watching(registry, other) as watcher:
            watcher.watch("api", views := Views())
            await eventually(lambda: registry.said("applied"))
            await registry.stop()
            await eventually(lambda: other.said("applied"))

            assert views.fresh
            assert watcher.connected


async def test_a_registry_that_falls_silent_is_left(registry: RegistryPeer) -> None:
    registry.lists_of("api", instance("a"))
    registry.mute = True
    async with registry_peer() as other:
        other.lists_of("api", instance("b"))
        async with watching(registry, other) as watcher:
            watcher.watch("api", views := Views())
            with capture_logs() as logs:
                await eventually(lambda: views.ids == ["b"])

            assert any("PONG" in line.get("reason", "") for line in logs)


async def test_a_registry_that_is_paused_is_left_for_the_next(registry: RegistryPeer) -> None:
    registry.lists_of("api", instance("a"))
    with socket.create_server(("127.0.0.1", 0)) as paused, capture_logs() as logs:
        urls = [f"http://127.0.0.1:{paused.getsockname()[1]}", registry.url]
        async with Watcher(urls, timing=replace(QUICK, connect=0.1)) as watcher:
            watcher.watch("api", views := Views())
            await eventually(lambda: views.ids == ["a"])

    assert logs[0]["reason"] == "it does not answer in time"


NONSENSE = {
    "no JSON": "{",
    "no object": "[1]",
    "no type": "{}",
    "wrong types": json.dumps(
        {"type": "list", "service": "api", "index": "x", "epoch": "e", "instances": []}
    ),
    "no instances": json.dumps({"type": "list", "service": "api", "index": 1, "epoch": "e"}),
    "a port beyond all": json.dumps(
        {
            "type": "put",
            "service": "api",
            "index": 2,
            "epoch": "e1",
            "instance": instance("b", port=65_536),
        }
    ),
    "an address that ends the host": json.dumps(
        {
            "type": "put",
            "service": "api",
            "index": 2,
            "epoch": "e1",
            "instance": instance("b", address="a@evil.example/"),
        }
    ),
    "too deep": "[" * 100_000,
    "too large": json.dumps({"type": "unknown", "padding": " " * LARGEST}),
}


@pytest.mark.parametrize("text", NONSENSE.values(), ids=NONSENSE.keys())
async def test_nonsense_ends_the_connection_and_not_the_watcher(
    registry: RegistryPeer, text: str
) -> None:
    registry.lists_of("api", instance("a"))
    async with watching(registry) as watcher:
        watcher.watch("api", views := Views())
        await eventually(lambda: views)
        with capture_logs() as logs:
            with contextlib.suppress(ConnectionError):
                await registry.say(text)
            await eventually(lambda: len(registry.said("hello")) == 2 and views.fresh)

        # What comes together is told together: here perhaps that nothing has changed.
        assert [view.stale for view in views] in ([False, True, False], [False])
        assert views.ids == ["a"]
        assert logs[0]["reason"]
        assert len(str(logs[0])) < 1000


async def test_bytes_instead_of_text_end_the_connection(registry: RegistryPeer) -> None:
    registry.lists_of("api", instance("a"))
    async with watching(registry) as watcher:
        watcher.watch("api", views := Views())
        await eventually(lambda: views)
        await registry.sockets[0].send_bytes(b"\0")
        await eventually(lambda: len(registry.said("hello")) == 2 and views.fresh)


async def test_a_message_of_a_later_registry_is_passed_over(registry: RegistryPeer) -> None:
    registry.lists_of("api", instance("a"))
    async with watching(registry) as watcher:
        watcher.watch("api", views := Views())
        await eventually(lambda: views)
        await registry.say(type="weather", text="fine")
        await registry.say(type="error", code=400, message="I did not understand")
        await registry.say(type="put", service="api", index=2, instance=instance("b"))
        await eventually(lambda: views.ids == ["a", "b"])

        assert len(registry.credentials) == 1


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_credential_is_told_once_and_tried_slowly(
    registry: RegistryPeer, status: int
) -> None:
    registry.lists_of("api", instance("a"))
    registry.refuses = status
    loop = asyncio.get_running_loop()
    began = loop.time()
    with capture_logs() as logs:
        async with watching(registry, token="s3cret-token") as watcher:
            watcher.watch("api", views := Views())
            await eventually(lambda: len(registry.credentials) == 4)
            assert loop.time() - began >= 3 * QUICK.refused / 2
            assert [line["log_level"] for line in logs] == ["error"]
            registry.refuses = 0
            await eventually(lambda: views)

    assert f"refuses our credential: status {status}" in logs[0]["reason"]
    assert "s3cret" not in repr(logs)
    assert set(registry.credentials) == {"Bearer s3cret-token"}


async def test_a_token_is_made_anew_for_each_connection(registry: RegistryPeer) -> None:
    registry.lists_of("api", instance("a"))
    made: list[str] = []

    def token() -> str:
        made.append(f"t{len(made)}")
        if len(made) == 2:
            raise RuntimeError("the secret t1 is gone")
        return made[-1]

    with capture_logs() as logs:
        async with watching(registry, token=token) as watcher:
            watcher.watch("api", views := Views())
            await eventually(lambda: views)
            registry.reset()
            await eventually(lambda: len(registry.credentials) == 2)

    assert registry.credentials == ["Bearer t0", "Bearer t2"]
    assert "no token can be made: RuntimeError" in repr(logs)
    assert "t1" not in repr(logs)


async def test_what_is_unwatched_is_applied_no_more(registry: RegistryPeer) -> None:
    registry.lists_of("api", instance("a"))
    registry.lists_of("other", instance("o"))
    async with watching(registry) as watcher:
        watched = watcher.watch("api", views := Views())
        watcher.watch("other", others := Views())
        await eventually(lambda: views and others)
        await registry.say(type="put", service="api", index=2, instance=instance("b"))
        watched.close()  # the change is on its way
        watched.close()
        await registry.say(type="put", service="other", index=2, instance=instance("p"))
        await eventually(lambda: others.ids == ["o", "p"])

        assert len(views) == 1
        await eventually(lambda: registry.said("unwatch"))
        assert registry.said("unwatch") == [{"type": "unwatch", "service": "api"}]

        watcher.watch("api", again := Views())  # and it can be watched again
        await eventually(lambda: again)


async def test_who_watches_later_has_the_view_at_once(registry: RegistryPeer) -> None:
    registry.lists_of("api", instance("a"))
    async with watching(registry) as watcher:
        watcher.watch("api", views := Views())
        await eventually(lambda: views)
        watcher.watch("api", later := Views())

        assert later == views


async def test_a_watcher_may_close_itself_within_apply(registry: RegistryPeer) -> None:
    registry.lists_of("api", instance("a"))
    async with watching(registry) as watcher:
        seen: list[View] = []

        def once(view: View) -> None:
            seen.append(view)
            watched.close()

        watched = watcher.watch("api", once)
        await eventually(lambda: registry.said("unwatch"))
        watcher.watch("other", Views())
        await eventually(lambda: len(registry.said("watch")) == 2)

        assert len(seen) == 1
        assert registry.said("applied") == []  # no drain waits for who is not there any more


async def test_observations_are_sent_when_connected_and_dropped_otherwise(
    registry: RegistryPeer,
) -> None:
    registry.lists_of("api", instance("a"))
    async with watching(registry) as watcher:
        watcher.observe([Observation("a", 1, requests=9)])  # nobody is there yet
        watcher.watch("api", views := Views())
        await eventually(lambda: views)
        watcher.observe([Observation("a", 1, 3, 1, 0, 10.0), Observation("b", 2, 1)])
        watcher.observe([Observation("a", 1, 1, 1, 1, 50.0)])
        await eventually(lambda: registry.said("observed"))

        first, second = registry.said("observed")[0]["observations"]
        assert first == {
            "id": "a",
            "generation": 1,
            "requests": 4,
            "failures": 2,
            "connect_errors": 1,
            "latency_ms": 10.0,  # that of good answers
        }
        assert second["id"] == "b"


async def test_a_start_without_a_registry_has_the_lists_from_disk(
    registry: RegistryPeer, tmp_path: Path
) -> None:
    cache = tmp_path / "data" / "services.json"
    registry.lists_of("api", instance("a", tags=["x"], meta={"k": "v"}), index=5)
    registry.lists_of("other", instance("o"))
    async with watching(registry, cache=cache) as watcher:
        watcher.watch("api", views := Views())
        watcher.watch("other", others := Views())
        await eventually(lambda: views and others)
    await registry.stop()
    assert cache.stat().st_mode & 0o777 == 0o600

    before = Watcher([registry.url], cache=cache, timing=QUICK)
    before.watch("other", early := Views())  # before it starts
    async with before:
        watched = before.watch("api", stale := Views())
        assert stale == [replace(views[0], stale=True)]  # before this returned
        assert early == [replace(others[0], stale=True)]
        assert watched.view == stale[0]

        registry.lists_of("api", instance("b"), index=6)
        await registry.start()
        await eventually(lambda: stale.fresh)
        assert stale.ids == ["b"]
    assert [path.name for path in cache.parent.iterdir()] == ["services.json"]
    assert {"api", "other"} == set(json.loads(cache.read_bytes())["services"])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"format": 2, "services": {}}',
        b'{"format": 1, "services": []}',
        b'{"format": 1, "services": {"api": {"index": 1, "epoch": "e", "instances": [{}]}}}',
    ],
)
async def test_a_spoilt_file_is_told_and_as_good_as_absent(
    registry: RegistryPeer, tmp_path: Path, content: bytes
) -> None:
    cache = tmp_path / "services.json"
    cache.write_bytes(content)
    registry.lists_of("api", instance("a"))
    with capture_logs() as logs:
        async with watching(registry, cache=cache) as watcher:
            watcher.watch("api", views := Views())
            await eventually(lambda: views)

    assert logs[0]["event"] == "lists of services on disk cannot be used"
    assert [view.stale for view in views] == [False]
    assert json.loads(cache.read_bytes())["services"]["api"]["index"] == 1


async def test_a_disk_that_takes_nothing_is_told_once(
    registry: RegistryPeer, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    registry.lists_of("api", instance("a"))
    with capture_logs() as logs:
        async with watching(registry, cache=tmp_path / "file" / "services.json") as watcher:
            watcher.watch("api", views := Views())
            await eventually(lambda: views)
            await registry.say(type="put", service="api", index=2, instance=instance("b"))
            await eventually(lambda: views.ids == ["a", "b"])

    told = [line["event"] for line in logs if line["log_level"] == "warning"]
    assert told.count("lists of services cannot be kept on disk") == 1


async def test_a_registry_that_never_comes_keeps_nothing_from_ending() -> None:
    port = free_port()
    async with Watcher([f"http://127.0.0.1:{port}"], timing=QUICK) as watcher:
        watched = watcher.watch("api", Views())

        assert watched.view is None
        assert not watcher.connected


@pytest.mark.parametrize("urls", [[], ["ftp://a"], ["http://"], ["http://u:p@a"], ["http://a?b"]])
def test_urls_that_are_none_are_refused(urls: list[str]) -> None:
    with pytest.raises(ValueError, match=r"url|http"):
        Watcher(urls)
