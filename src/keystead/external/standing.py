"""Which external key each module and key is under, and how that key stands now.

Two instances compare external keys by their `reference`, which names a key for all who can use it.
It is a claim: who claims one that he may not use is shown nothing by it.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from keystead.base.errors import KeysteadError
from keystead.database.integrity import Fields
from keystead.external import configurations
from keystead.external.model import State
from keystead.external.status import Status
from keystead.external.tables import EKEKS
from keystead.keys import service as keys
from keystead.keys.hierarchy import Hierarchy


@dataclass(frozen=True, slots=True)
class Standing:
    """A configuration that wraps keys or may, and the status of its external key."""

    configuration: Fields
    status: str

    @property
    def reference(self) -> str:
        """The external key as its provider names it for all."""
        return str(self.configuration["reference"])

    @property
    def is_enabled(self) -> bool:
        """Whether keys under it can be opened and stored now."""
        return self.status == Status.ENABLED


def standings(tx: Connection, hierarchy: Hierarchy) -> dict[str, Standing]:
    """How each activated configuration stands, by its id; a provider is asked where no lease lasts.

    Those that are enabled come last, so that among several of one reference they win.
    """
    rows = configurations.listed(tx, hierarchy, State.ACTIVE, State.REVOKED)
    found = [Standing(row, _status(tx, hierarchy, row)) for row in rows]
    found.sort(key=lambda one: one.is_enabled)
    return {one.configuration["sys_id"]: one for one in found}


def of_modules(tx: Connection, hierarchy: Hierarchy) -> dict[str, Fields]:
    """The configuration that each module under an external key chose, by the module's id."""
    known = {row["sys_id"]: row for row in configurations.listed(tx, hierarchy)}
    return {
        module["sys_id"]: known[configuration_id]
        for module in keys.all_modules(tx, hierarchy)
        if (configuration_id := configurations.chosen(module)) is not None
    }


def of_specifications(tx: Connection, hierarchy: Hierarchy) -> dict[str, Fields]:
    """The configuration of each specification whose module is under an external key, by its id."""
    of_module = of_modules(tx, hierarchy)
    return {
        spec["sys_id"]: of_module[spec["module_id"]]
        for spec in keys.all_specifications(tx, hierarchy)
        if spec["module_id"] in of_module
    }


def references(tx: Connection, hierarchy: Hierarchy) -> dict[str, set[str]]:
    """The external keys that each key is under, by its id: what wraps it, what its module chose."""
    named = {r["sys_id"]: str(r["reference"]) for r in configurations.listed(tx, hierarchy)}
    wrapping = {
        ekek["sys_id"]: named[ekek["configuration_id"]]
        for ekek in hierarchy.integrity.all(tx, EKEKS)
    }
    chosen = {
        spec_id: str(row["reference"]) for spec_id, row in of_specifications(tx, hierarchy).items()
    }
    return {
        key["sys_id"]: {
            *([wrapping[key["ekek_id"]]] if key["ekek_id"] in wrapping else ()),
            *([chosen[key["spec_id"]]] if key["spec_id"] in chosen else ()),
        }
        for key in keys.all_keys(tx, hierarchy)
    }


def _status(tx: Connection, hierarchy: Hierarchy, row: Fields) -> str:
    if row["state"] == State.REVOKED:
        return str(State.REVOKED)
    try:
        hierarchy.ekeks.open(tx, hierarchy.ekeks.current(tx, row["sys_id"]))
    except KeysteadError as error:
        return str(error.facts.get("status", Status.UNAVAILABLE))
    return str(Status.ENABLED)
