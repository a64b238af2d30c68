"""Results on disk: JSON with the machine they were measured on, and plots where matplotlib is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import orjson

from bench.machine import ROOT

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RESULTS: Final = ROOT / "bench" / "results"
_OPTIONS: Final = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE


def save(folder: Path, name: str, document: Mapping[str, object]) -> Path:
    """Write NAME.json; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_bytes(orjson.dumps(document, option=_OPTIONS))
    return path


def plot(folder: Path, name: str, width: float, draw: Callable[[Figure], None]) -> Path | None:
    """Write NAME.png, `width` inches wide, as `draw` fills it; None without matplotlib."""
    try:
        # The figure alone, without pyplot: nothing here has a display.
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError:
        return None
    figure = Figure(figsize=(width, 4.2), layout="constrained")
    draw(figure)
    path = folder / f"{name}.png"
    figure.savefig(path, dpi=110)
    return path
