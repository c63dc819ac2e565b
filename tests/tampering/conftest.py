"""The instance is filled once on each database, and put back for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from demo import servers
from sqlalchemy import URL
from tests.tampering.servers import ServerSite
from tests.tampering.world import World
from tests.unit.exchange.pairs import Site, network

PLACES = ["sqlite", *(pytest.param(kind, marks=pytest.mark.long) for kind in servers.KINDS)]


@pytest.fixture(scope="session", params=PLACES)
def _filled(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    session_database: Callable[[str], URL],
) -> Iterator[World]:
    kind = str(request.param)
    site = Site() if kind == "sqlite" else ServerSite(kind, session_database(kind))
    with network(tmp_path_factory.mktemp("filled"), lambda _net: None, site) as net:
        world = World(net, site)
        world.fill()
        net.keep()
        yield world


@pytest.fixture
def world(_filled: World) -> World:
    _filled.net.restore()
    return _filled
