"""What requests say of copies."""

from __future__ import annotations

from math import inf

import pytest

from uaitools.insight.api.conditions import NONE_KEPT, has, oldest

TAG = b'"0a1b"'


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"", False),
        (b"*", True),
        (b'"0a1b"', True),
        (b'W/"0a1b"', True),
        (b'"x", W/"y" , "0a1b"', True),
        (b'"x","0a1b","y"', True),
        (b'"0A1B"', False),
        (b"0a1b", False),
        (b'"x 0a1b"', False),
        (b'"*"', False),
        (b'"x"*', False),
    ],
)
def test_whether_a_client_has_it(value: bytes, expected: bool) -> None:
    assert has(value, TAG) is expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"", inf),
        (b"max-age=60", 60),
        (b"MAX-AGE=0", 0),
        (b'max-age="60"', 60),
        (b"max-age=60, max-age=20", 20),
        (b"max-age=60, max-stale=600", 60),
        (b"max-stale", inf),
        (b"no-cache", NONE_KEPT),
        (b"max-age=60 , No-Cache", NONE_KEPT),
        (b"no-store", NONE_KEPT),
        (b'extension="no-cache, max-age=0"', inf),
        (b"x-no-cache", inf),
        (b"max-age=-1", 0),
        (b"max-age=+1", 0),
        (b"max-age=1.5", 0),
        (b"max-age", 0),
        (b"max-age=" + b"9" * 8000, inf),
        (b",,;=\"'\\", inf),
    ],
)
def test_how_old_a_copy_may_be(value: bytes, expected: float) -> None:
    assert oldest(value) == expected
