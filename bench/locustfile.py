"""A mixed load against `make run`, with locust's page on http://127.0.0.1:8089.

    .venv/bin/locust --locustfile bench/locustfile.py --host http://127.0.0.1:8081

Chat in JSON and as event streams, health, and paths that no route takes. It shows how a service
behaves under a mix, with failures by kind; locust's own cost is far above the gateway's, so for
figures of cost use bench.peers.
"""

from __future__ import annotations

from locust import HttpUser, between, task

CHAT = "/api/chat"
MESSAGES = [{"role": "user", "content": "Tell me how a reverse proxy works."}]


class ChatUser(HttpUser):
    """A client of the sample chat service: mostly questions, sometimes watched as they come."""

    wait_time = between(0.1, 0.5)

    @task(10)
    def ask(self) -> None:
        """Ask for a whole answer."""
        with self.client.post(
            CHAT, json={"messages": MESSAGES}, name=f"{CHAT} json", catch_response=True
        ) as answer:
            if answer.status_code != 200:
                answer.failure(f"status {answer.status_code}")
            elif not answer.json().get("choices"):
                answer.failure("an answer without choices")

    @task(5)
    def watch(self) -> None:
        """Read an answer as server-sent events; the time is that of the last one."""
        with self.client.post(
            CHAT,
            json={"messages": MESSAGES, "stream": True},
            name=f"{CHAT} stream",
            stream=True,
            catch_response=True,
        ) as answer:
            if answer.status_code != 200:
                answer.failure(f"status {answer.status_code}")  # nothing to read if none came
            elif not any(line.startswith(b"data:") for line in list(answer.iter_lines())):
                answer.failure("a stream without events")

    @task(2)
    def health(self) -> None:
        """What a load balancer asks."""
        self.client.get("/health")

    @task(1)
    def nowhere(self) -> None:
        """Ask for a path without a route; 404 is the right answer."""
        with self.client.get("/nowhere", catch_response=True) as answer:
            if answer.status_code == 404:
                answer.success()
            else:
                answer.failure(f"status {answer.status_code}, not 404")
