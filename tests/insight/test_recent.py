"""What a process has served last."""

from __future__ import annotations

from dataclasses import dataclass

from uaitools.insight.recent import OVERHEAD, Recent


@dataclass(frozen=True)
class One:
    about: str = ""


def put(recent: Recent[One], asked: str, about: str = "", *, ends: float = 10.0) -> None:
    recent.put(asked, One(about), 100, ends, recent.changes)


def test_what_was_put_is_found_as_long_as_it_is_good() -> None:
    recent: Recent[One] = Recent(100_000)
    put(recent, "a", ends=10.0)
    assert recent.get("a", 9.9) == One()
    assert recent.get("a", 10.0) is None
    assert recent.get("b", 0.0) is None


def test_what_was_looked_for_before_something_was_forgotten_is_not_kept() -> None:
    recent: Recent[One] = Recent(100_000)
    recent.forget({"another"})
    recent.put("a", One(), 100, 10.0, 0)
    assert recent.get("a", 0.0) is None
    recent.clear()
    recent.put("a", One(), 100, 10.0, 1)
    assert recent.get("a", 0.0) is None


def test_what_is_about_one_is_forgotten_and_nothing_else() -> None:
    recent: Recent[One] = Recent(4 * (100 + OVERHEAD))
    for number in range(3):  # two generations
        put(recent, f"a{number}", "a")
        put(recent, f"b{number}", "b")
    recent.forget({"a"})
    kept = {asked for n in range(3) for asked in (f"a{n}", f"b{n}") if recent.get(asked, 0.0)}
    assert kept
    assert all(asked.startswith("b") for asked in kept)


def test_it_is_bounded_and_keeps_what_is_asked_for_again() -> None:
    recent: Recent[One] = Recent(20 * (100 + OVERHEAD))
    put(recent, "often")
    for number in range(1000):
        put(recent, f"once {number}")
        assert recent.get("often", 0.0) is not None
    assert sum(recent.get(f"once {number}", 0.0) is not None for number in range(1000)) <= 20


def test_what_is_too_large_is_not_kept() -> None:
    recent: Recent[One] = Recent(2000)
    recent.put("a", One(), 2000, 10.0, 0)
    assert recent.get("a", 0.0) is None
