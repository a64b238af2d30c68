"""Active health checks with several workers: each checks for itself, the status speaks for all."""

import json
from pathlib import Path

from tests.peers.servers import free_port
from tests.proxy.program import Program, eventually

CONFIG = """
[proxy.services.api]
endpoints = ["http://127.0.0.1:{port}"]
check = {{ tcp = true, interval = 0.25, timeout = 1, fall = 2 }}
[[proxy.routes]]
path = "/"
service = "api"
"""


def test_every_worker_checks_and_the_status_shows_what_failed(tmp_path: Path) -> None:
    file = tmp_path / "uaitools.toml"
    file.write_text(CONFIG.format(port=free_port()))
    with Program("--workers", "2", "--config", str(file)) as program:
        program.workers(2)
        program.logged("endpoint fails its checks", 2, reason="Connection refused")

        eventually(lambda: program.metric("proxy_endpoint_down") == 2)
        assert program.metric("proxy_health_checks_total") >= 4
        _, body = program.get("/api/status")
        (endpoint,) = json.loads(body)["services"]["api"]["endpoints"]
        assert (endpoint["state"], endpoint["cause"]) == ("ejected", "active check")
        assert endpoint["check"]["reason"] == "Connection refused"
