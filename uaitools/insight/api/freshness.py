"""How answers say of which day they are, and of whom. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from uaitools.insight.store.days import Span


def dated(as_of: date | None, sources: Sequence[str]) -> Mapping[str, Any]:
    """The day of the newest data, and who told of it; null where nobody has."""
    return {"as_of": as_of, "source": ", ".join(sources) or None}


def spanned(span: Span | None) -> Mapping[str, Any]:
    """What is known of a window; all null where there is none."""
    return {
        "begin": span and span.begin,
        "end": span and span.end,
        "window_actual": span and span.window_actual,
        "coverage": span and round(span.coverage, 4),
        "missing_days": span and span.missing,
    }
