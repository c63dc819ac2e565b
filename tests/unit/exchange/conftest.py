"""Instances that share modules, and of which one has keys that the others want."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from keystead.keys import service as keys

from .pairs import ACTOR, Clock, Network, copied, copy_modules, make_homes, make_modules


def _share(net: Network) -> None:
    make_modules(net.prod)
    with net.prod.db.transaction() as tx:
        keys.rotate(tx, net.prod.hierarchy, "people", ACTOR)
    copy_modules(net.prod, net.test)
    copy_modules(net.prod, net.third)


@pytest.fixture(scope="session")
def sharing_homes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_homes(tmp_path_factory.mktemp("sharing"), _share)


@pytest.fixture
def net(sharing_homes: Path, tmp_path: Path) -> Iterator[Network]:
    """`prod` holds three keys of two modules; `test` and `third` have the modules."""
    with copied(sharing_homes, tmp_path) as network:
        yield network


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)
