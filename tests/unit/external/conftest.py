"""A site whose modules are under an external key of a vendor in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.conftest import ACTOR, PEOPLE, Site
from tests.unit.external.vendor import Vendor

from keystead.external import configurations, service, settling
from keystead.external.leases import Leases
from keystead.external.model import Action, EkekState, State
from keystead.external.provider import Provider, Settings
from keystead.external.service import ExternalKeys
from keystead.external.tables import EKEKS
from keystead.keys import service as keys


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


class Two(Watched):
    """A site that knows a second vendor, whose key is called "other"."""

    def __init__(self, folder: Any, vendor: Vendor, other: Vendor) -> None:
        super().__init__(folder, vendor)
        self.other = other
        self.leases._open_provider = self.opened

    def opened(self, kind: str, settings: Settings, seconds: float) -> Provider:
        vendor = self.other if settings["path"] == "/other" else self.vendor
        return vendor.open_provider(kind, settings, seconds)

    def draft(self, name: str) -> None:
        with self.transaction() as tx:
            configurations.create(
                tx,
                self.hierarchy,
                name=name,
                kind="file",
                settings={"path": f"/{name}"},
                actor=ACTOR,
            )

    def configuration(self, name: str = "kms") -> dict[str, Any]:
        with self.snapshot() as tx:
            return configurations.named(tx, self.hierarchy, name)

    def ekeks(self, name: str = "kms") -> list[dict[str, Any]]:
        configuration = self.configuration(name)
        with self.snapshot() as tx:
            return service.ekeks_of(tx, self.hierarchy, configuration["sys_id"])

    def all_keys(self) -> list[dict[str, Any]]:
        with self.snapshot() as tx:
            return keys.all_keys(tx, self.hierarchy)

    def act(self, action: Action, name: str = "kms") -> None:
        """Do it as an operator does."""
        external = self.external
        if action is Action.ACTIVATE:
            external.activate(name, ACTOR)
        elif action is Action.WRAP:
            external.wrap_module("standard", name, ACTOR)
        elif action is Action.REWRAP:
            external.rewrap(name, ACTOR)
        elif action is Action.ROTATE:
            external.rotate_ekek(name, ACTOR)
        else:
            with self.transaction() as tx:
                row = configurations.named(tx, self.hierarchy, name)
                if action is Action.REVOKE:
                    configurations.revoke(tx, self.hierarchy, row, "a drill", ACTOR)
                elif action is Action.REINSTATE:
                    configurations.reinstate(tx, self.hierarchy, row, ACTOR)
                elif action is Action.CHANGE:
                    configurations.change(tx, self.hierarchy, row, ACTOR, lease_seconds=30)
                else:
                    configurations.retire(tx, self.hierarchy, row, ACTOR)

    def bring_to(self, state: State) -> None:
        """A configuration "kms" in that state."""
        self.draft("kms")
        steps = {
            State.DRAFT: [],
            State.ACTIVE: [Action.ACTIVATE],
            State.REVOKED: [Action.ACTIVATE, Action.REVOKE],
            State.RETIRED: [Action.RETIRE],
        }
        for action in steps[state]:
            self.act(action)

    def proven(self) -> None:
        """Every value is there, each key is where it belongs, and one EKEK is active for each."""
        assert [row[1] for row in self.rows()] == [person[1] for person in PEOPLE]
        with self.snapshot() as tx:
            assert settling.misplaced(tx, self.hierarchy) == []
            rows = self.hierarchy.integrity.all(tx, EKEKS)
        held = {row["ekek_id"] for row in self.all_keys()} - {None}
        stored = {row["sys_id"]: row for row in rows}
        assert held <= {i for i, row in stored.items() if row["state"] == EkekState.ACTIVE}
        for row in rows:
            assert (row["wrapped"] is None) == (row["state"] == EkekState.RETIRED)
        active = [row["configuration_id"] for row in rows if row["state"] == EkekState.ACTIVE]
        assert len(active) == len(set(active))


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
