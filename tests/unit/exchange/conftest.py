"""Instances that share modules, and of which one has keys that the others want."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from keystead.keys import service as keys

from .pairs import ACTOR, Clock, Network, copy_modules, make_modules, network


def _share(net: Network) -> None:
    make_modules(net.prod)
    with net.prod.db.transaction() as tx:
        keys.rotate(tx, net.prod.hierarchy, "people", ACTOR)
    copy_modules(net.prod, net.test)
    copy_modules(net.prod, net.third)


@pytest.fixture(scope="session")
def _sharing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    with network(tmp_path_factory.mktemp("sharing"), _share) as net:
        yield net


@pytest.fixture(scope="session")
def _paired(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    with network(tmp_path_factory.mktemp("paired"), lambda _net: None) as net:
        yield net


@pytest.fixture
def net(_sharing: Network) -> Network:
    """`prod` holds three keys of two modules; `test` and `third` have the modules."""
    _sharing.restore()
    return _sharing


@pytest.fixture
def paired(_paired: Network) -> Network:
    """Three instances with nothing in them but each other's identities."""
    _paired.restore()
    return _paired


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)
