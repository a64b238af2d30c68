"""Who is told of a change: those who wait for that service, and no other."""

from __future__ import annotations

from uaitools.registry.bells import Bells


def test_a_change_rings_the_bells_of_its_service_alone() -> None:
    bells, rung = Bells(), list[str]()

    def api() -> None:
        rung.append("api")

    def web() -> None:
        rung.append("web")
        bells.take_down("web", web)  # who has been told may leave at once

    bells.hang("api", api)
    bells.hang("web", web)
    bells.ring(["api", "nobody's"])
    assert rung == ["api"]
    bells.ring_all()
    bells.ring_all()
    assert sorted(rung) == ["api", "api", "api", "web"]
    assert len(bells) == 1
