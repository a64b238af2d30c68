"""`python -m uaitools.hub` as a process that tests kill, pause and start again."""

from __future__ import annotations

from functools import partial

from tests.peers.component_program import component_program

hub_program = partial(component_program, "hub")
