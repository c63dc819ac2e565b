"""Moving keys to the EKEK that their module wants: the one place where keys change their wrapping.

A key names the EKEK that wraps it and a module the configuration that it chose, so what is left to
do is what differs. Killed anywhere, nothing is lost, and the next run goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from keystead.audit import log
from keystead.base import clock
from keystead.base.errors import KeysteadError, Unavailable
from keystead.database.integrity import Fields
from keystead.database.port import Database
from keystead.external import configurations
from keystead.external.model import EkekState
from keystead.external.tables import EKEKS
from keystead.keys import held
from keystead.keys import service as keys
from keystead.keys.hierarchy import Hierarchy
from keystead.keys.tables import KEYS

OnKeys = Callable[[int, int], None]
"""Told how many keys have moved, and of how many."""
_BATCH: Final = 100


@dataclass(frozen=True, slots=True)
class Settled:
    """How many keys moved to the EKEK they are to be under, and how many still have to.

    `failure` is why some have to, or why old wrappings may still be found in the database's files.
    """

    moved: int
    left: int
    failure: KeysteadError | None


def settle(
    database: Database, hierarchy: Hierarchy, actor: str, on_keys: OnKeys | None = None
) -> Settled:
    """Move every key to the EKEK that its module wants; retire EKEKs that wrap nothing more.

    A module whose keys cannot be opened now waits for the next time.
    """
    moved, failure = 0, None
    waiting: set[str] = set()
    spec_id = ""
    with database.snapshot() as tx:
        total = len(misplaced(tx, hierarchy))
    while True:
        try:
            with database.snapshot() as tx:  # ask whom it takes before writing begins
                for row, ekek_id in _next(tx, hierarchy, waiting):
                    spec_id = row["spec_id"]
                    hierarchy.unwrap_module_key(tx, row)
                    hierarchy.ekeks.open(tx, ekek_id)
            with database.transaction() as tx:
                batch = _next(tx, hierarchy, waiting)
                for row, _ in batch:
                    spec_id = row["spec_id"]
                    _move(tx, hierarchy, row)
                if batch:
                    log.record(tx, actor, "external.rewrap_keys", batch[0][1], keys=len(batch))
        except KeysteadError as error:
            failure = error
            if spec_id in waiting:
                break
            waiting.add(spec_id)
            continue
        if not batch:
            break
        moved += len(batch)
        if on_keys is not None:
            on_keys(moved, total)
    retired = retire_replaced(database, hierarchy, actor)
    if moved or retired:
        try:
            database.scrub(KEYS.name, EKEKS.name)
        except Unavailable as blocked:
            failure = failure or blocked
    with database.snapshot() as tx:
        left = len(misplaced(tx, hierarchy))
    return Settled(moved, left, failure)


def misplaced(tx: Connection, hierarchy: Hierarchy) -> list[tuple[Fields, str]]:
    """The keys that are not under the EKEK that their module wants, each with that one's id."""
    active = {
        row["active_of"]: str(row["sys_id"])
        for row in hierarchy.integrity.all(tx, EKEKS, EKEKS.c.state == EkekState.ACTIVE)
    }
    wanted = {
        module["sys_id"]: active[configurations.chosen(module)]
        for module in keys.all_modules(tx, hierarchy)
        if configurations.chosen(module) in active
    }
    by_spec = {
        spec["sys_id"]: wanted[spec["module_id"]]
        for spec in keys.all_specifications(tx, hierarchy)
        if spec["module_id"] in wanted
    }
    return [
        (row, by_spec[row["spec_id"]])
        for row in keys.all_keys(tx, hierarchy)
        if row["material"] is not None
        and row["spec_id"] in by_spec
        and row["ekek_id"] != by_spec[row["spec_id"]]
    ]


def retire_replaced(database: Database, hierarchy: Hierarchy, actor: str) -> int:
    """Drop the wrappings of EKEKs that were replaced and wrap no key any more; how many."""
    integrity, count = hierarchy.integrity, 0
    with database.transaction() as tx:
        needed = {row["ekek_id"] for row in keys.all_keys(tx, hierarchy)}
        for row in integrity.all(tx, EKEKS, EKEKS.c.state == EkekState.REPLACED):
            if row["sys_id"] not in needed:
                fields = {"state": EkekState.RETIRED, "retired_at": clock.now()}
                integrity.update(tx, EKEKS, row, "the EKEK", wrapped=None, **fields)
                configuration = configurations.of_id(tx, hierarchy, row["configuration_id"])
                facts = {"version": row["version"]}
                log.record(tx, actor, "external.retire_ekek", configuration["name"], **facts)
                count += 1
    return count


def _next(tx: Connection, hierarchy: Hierarchy, waiting: set[str]) -> list[tuple[Fields, str]]:
    """The keys that are moved next, all to one EKEK."""
    found = [one for one in misplaced(tx, hierarchy) if one[0]["spec_id"] not in waiting]
    return [one for one in found if one[1] == found[0][1]][:_BATCH]


def _move(tx: Connection, hierarchy: Hierarchy, row: Fields) -> None:
    secret = hierarchy.unwrap_module_key(tx, row)
    stored = held.wrapped(tx, hierarchy, row["sys_id"], row["spec_id"], secret)
    held.change(tx, hierarchy, row, **stored)
