"""The instance is filled once, and put back for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.tampering.world import World
from tests.unit.exchange.pairs import network


@pytest.fixture(scope="session")
def _filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with network(tmp_path_factory.mktemp("filled"), lambda _net: None) as net:
        world = World(net)
        world.fill()
        net.keep()
        yield world


@pytest.fixture
def world(_filled: World) -> World:
    _filled.net.restore()
    return _filled
