"""An embedded cluster with the product's API client on it, for modules that read what controllers have made."""

from __future__ import annotations

import pytest

from tests.simulation.world import World


@pytest.fixture
def world() -> World:
    """A namespace `shop`, on virtual time."""
    return World()
