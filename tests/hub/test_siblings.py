from pathlib import Path

from uaitools.hub.siblings import Siblings
from uaitools.metrics import Family, Sample, Snapshot

COUNT = Family("count_total", "counter", "Counted.")
OPEN = Family("open", "gauge", "Open now.")


def snapshot(count: int, still_open: int) -> Snapshot:
    return Snapshot.of([Sample(COUNT, (), count), Sample(OPEN, (), still_open)])


def values(found: Snapshot) -> dict[str, object]:
    return {sample.family.name: sample.value for sample in found.samples()}


def test_whichever_worker_is_asked_tells_the_sum(tmp_path: Path) -> None:
    one, two = Siblings(tmp_path, 0), Siblings(tmp_path, 1)
    one.leave(snapshot(3, 1))
    assert values(two.merged(snapshot(4, 2))) == {"count_total": 7, "open": 3}
    assert values(one.merged(snapshot(5, 1))) == {"count_total": 9, "open": 3}


def test_what_a_dead_worker_has_counted_is_counted_on_and_nothing_of_it_is_open(
    tmp_path: Path,
) -> None:
    Siblings(tmp_path, 0).leave(snapshot(3, 1))
    successor = Siblings(tmp_path, 0)
    assert values(successor.merged(snapshot(1, 2))) == {"count_total": 4, "open": 2}
