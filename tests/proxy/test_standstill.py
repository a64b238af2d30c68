"""A gateway that was stopped for a while, and an upstream that was not."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from tests.proxy.program import Program, Upstream, eventually, upstream


def asked_more(server: Upstream, before: int) -> bool:
    return server.asked > before


def test_what_came_in_time_while_the_gateway_stood_still_is_passed_on(tmp_path: Path) -> None:
    file = tmp_path / "uaitools.toml"
    with upstream("one") as server, ThreadPoolExecutor() as pool:
        file.write_text(
            f"""
            [proxy.services.api]
            endpoints = ["{server.url}"]
            [[proxy.routes]]
            path = "/"
            service = "api"
            timeout = 1.0
            """
        )
        with Program("--config", str(file)) as gateway:
            assert gateway.get("/x") == (200, b"oneone")
            for _ in range(5):
                asked = server.asked
                answer = pool.submit(gateway.get, "/slow")
                eventually(partial(asked_more, server, asked))
                gateway.freeze()
                server.release.set()
                time.sleep(1.5)  # beyond the deadline; the upstream has answered at once
                gateway.thaw()
                assert answer.result() == (200, b"oneone")
                server.release.clear()
                time.sleep(0.05)  # one stop at a time
