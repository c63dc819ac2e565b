"""A site whose modules are under an external key of a vendor in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.conftest import ACTOR, Site
from tests.unit.external.vendor import Vendor

from keystead.external import configurations
from keystead.external.leases import Leases
from keystead.external.service import ExternalKeys


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Watched(Site):
    """A site with the external key "kms" of a vendor."""

    def __init__(self, folder: Path, vendor: Vendor) -> None:
        super().__init__(folder)
        self.vendor, self.clock = vendor, Clock()
        self.leases = Leases(self.hierarchy, vendor.open_provider, self.clock)
        self.hierarchy = self.hierarchy.with_ekeks(self.leases)
        self.external = ExternalKeys(self.database, self.hierarchy, self.leases)

    def configure_external(self, name: str = "kms", **seconds: int) -> None:
        with self.transaction() as tx:
            configurations.create(
                tx,
                self.hierarchy,
                name=name,
                kind="file",
                settings={"path": "/none"},
                actor=ACTOR,
                **seconds,
            )
        self.external.activate(name, ACTOR)

    def wrap_one(self, module: str, name: str) -> None:
        settled = self.external.wrap_module(module, name, ACTOR)
        assert settled.left == 0, settled

    def wrap_all(self, name: str = "kms") -> None:
        for module in ("standard", "equal"):
            self.wrap_one(module, name)


@pytest.fixture
def watched(sealed: Site) -> Iterator[Watched]:
    """The sealed site, not under an external key yet."""
    found = Watched(sealed.folder, Vendor())
    yield found
    found.close()


@pytest.fixture
def wrapped(watched: Watched) -> Watched:
    """The same, both modules under the external key."""
    watched.configure_external()
    watched.wrap_all()
    return watched
