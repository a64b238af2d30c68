"""`python -m uaitools.hub` as a process that tests kill, pause and start again."""

from __future__ import annotations

from functools import partial

from tests.peers.component_program import ROOT, ComponentProgram, component_program

hub_program = partial(component_program, "hub")

__all__ = ["ROOT", "ComponentProgram", "hub_program"]
