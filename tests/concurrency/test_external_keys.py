"""Many at once on external keys: one EKEK is active for each, and no key is under one that is gone.

Each has the instance opened by himself, as a process of its own would; the provider is one.
"""

from __future__ import annotations

import base64
import random
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from typing import Any

from tests.concurrency.places import ACTOR, Place, seed
from tests.unit.external.vendor import Vendor

from keystead.base.errors import KeysteadError
from keystead.base.secret import REVEAL
from keystead.crypto.envelope import Scheme
from keystead.external import configurations, settling
from keystead.external.model import EkekState
from keystead.external.tables import EKEKS
from keystead.instance import opening
from keystead.keys import service as keys

WHO, TIMES = 4, 8
MODULES, NAMES = ("global.one", "global.two"), ("a", "b")


class Opened:
    """The instance as one of several has it open."""

    def __init__(self, place: Place, vendor: Vendor) -> None:
        self.instance = place.open()
        self.database = self.instance.database
        self.hierarchy, self.external = opening.with_external_keys(
            self.database, self.instance.hierarchy, vendor.open_provider
        )

    def close(self) -> None:
        self.external.leases.close()
        self.instance.close()

    def rotate_key(self, module: str) -> None:
        with self.database.transaction() as tx:
            keys.rotate(tx, self.hierarchy, module, ACTOR)

    def opened(self) -> dict[str, bytes]:
        """Every key, opened."""
        with self.database.snapshot() as tx:
            return {
                row["sys_id"]: self.hierarchy.unwrap_module_key(tx, row).reveal(REVEAL)
                for row in keys.all_keys(tx, self.hierarchy)
            }

    def check(self) -> None:
        """Each EKEK that a key names is stored, at most one of each configuration is active."""
        with self.database.snapshot() as tx:
            rows = self.hierarchy.integrity.all(tx, EKEKS)
            named = {row["ekek_id"] for row in keys.all_keys(tx, self.hierarchy)} - {None}
        stored = {row["sys_id"] for row in rows if row["wrapped"] is not None}
        assert named <= stored
        active = Counter(r["configuration_id"] for r in rows if r["state"] == EkekState.ACTIVE)
        assert set(active.values()) <= {1}


def prepare(at: Opened) -> None:
    with at.database.transaction() as tx:
        for module in MODULES:
            keys.create_module(tx, at.hierarchy, module, Scheme.STANDARD, ACTOR)
            keys.publish_module(tx, at.hierarchy, module, ACTOR)
        for name in NAMES:
            configurations.create(
                tx, at.hierarchy, name=name, kind="file", settings={"path": "/x"}, actor=ACTOR
            )


# MariaDB lets nobody read on in a table that was rebuilt since his transaction began
BUSY = {
    "sqlite": set[str](),
    "postgresql": {"unavailable scrub.blocked"},
    "mariadb": {"unavailable scrub.blocked", "unavailable database.busy"},
}
ACTS: dict[str, Callable[[Opened, random.Random], object]] = {
    "rotate the EKEK": lambda at, by: at.external.rotate_ekek(by.choice(NAMES), ACTOR),
    "rewrap": lambda at, by: at.external.rewrap(by.choice(NAMES), ACTOR),
    "wrap": lambda at, by: at.external.wrap_module(by.choice(MODULES), by.choice(NAMES), ACTOR),
    "rotate": lambda at, by: at.rotate_key(by.choice(MODULES)),
    "look": lambda at, _by: at.external.synchronise(ACTOR),
    "settle": lambda at, _by: at.external.settle(ACTOR),
    "check": lambda at, _by: at.check(),
}


def together(place: Place, vendor: Vendor, act: Callable[[Opened, int], Any]) -> list[Any]:
    """What each of several says who do it at the same moment."""
    said: list[Any] = []
    barrier = threading.Barrier(WHO)

    def run(number: int) -> None:
        with closing(Opened(place, vendor)) as at:
            barrier.wait(60)
            try:
                said.append(act(at, number))
            except KeysteadError as error:
                said.append(f"{error.family} {error.code}")
            except BaseException as error:
                said.append(error)
                raise

    threads = [threading.Thread(target=run, args=(number,)) for number in range(WHO)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
        assert not thread.is_alive()
    return said


def test_whatever_many_do_no_key_is_lost(place):
    begun, vendor = seed(), Vendor()
    with closing(Opened(place, vendor)) as at:
        prepare(at)
        said = together(place, vendor, lambda one, _n: one.external.activate("a", ACTOR)["state"])
        assert sorted(said)[0] == "active"
        assert Counter(said)["active"] == 1
        assert {one.split()[0] for one in said} <= {"active", "conflict", "illegal_transition"}
        at.external.activate("b", ACTOR)
        at.check()
        known = at.opened()

        def act_at_random(one: Opened, number: int) -> Counter[str]:
            chance, came = random.Random(f"{begun} {number}"), Counter[str]()
            for _ in range(TIMES):
                name = chance.choice(list(ACTS))
                try:
                    ACTS[name](one, chance)
                    came["done"] += 1
                except KeysteadError as error:
                    came[f"{name}: {error.family} {error.code}"] += 1
            return came

        for _ in range(2):
            came = together(place, vendor, act_at_random)
            assert all(isinstance(one, Counter) for one in came), came
            failures = {name for one in came for name in one} - {"done"}
            refused = {name.split(": ")[1] for name in failures}
            assert {one for one in refused if not one.startswith("conflict ")} <= BUSY[place.engine]
            vendor.rotate()
        assert [one.failure for one in at.external.synchronise(ACTOR)] == [None, None]
        assert at.external.settle(ACTOR).failure is None
        at.check()
        with at.database.snapshot() as tx:
            assert settling.misplaced(tx, at.hierarchy) == []
            rows = at.hierarchy.integrity.all(tx, EKEKS)
        assert Counter(row["state"] for row in rows)[EkekState.ACTIVE] == 2
        assert EkekState.REPLACED not in {row["state"] for row in rows}
    with closing(Opened(place, vendor)) as at:  # who has nothing in memory opens every key
        found = at.opened()
        assert {key: found[key] for key in known} == known
        newest = {base64.b64decode(row["wrapped"])[0] for row in rows if row["wrapped"]}
        assert newest == {len(vendor.versions)}
