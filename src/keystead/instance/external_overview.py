"""External keys as people see them: configurations with their status, EKEKs, alerts, what moves."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from keystead.database.integrity import Fields
from keystead.external import alerts, configurations, kinds
from keystead.external.leases import status_row
from keystead.external.service import WATCHED, ekeks_of
from keystead.external.settling import misplaced
from keystead.external.tables import ALERTS
from keystead.instance import schedules
from keystead.keys import service as keys
from keystead.keys.hierarchy import Hierarchy


@dataclass(frozen=True, slots=True)
class Moving:
    """How many keys of a module are wrapped as it wants them, of how many."""

    moved: int
    total: int


def shown(tx: Connection, hierarchy: Hierarchy) -> list[dict[str, Any]]:
    """The configurations in order of name, each with what was last heard of its key."""
    wrapped = keys_by_ekek(tx, hierarchy)
    next_check = schedules.find(
        tx, hierarchy.integrity, schedules.WATCH_EXTERNAL_KEYS.name
    ).next_run
    modules = Counter(configurations.chosen(m) for m in keys.all_modules(tx, hierarchy))
    found = []
    for row in configurations.listed(tx, hierarchy):
        status = status_row(tx, hierarchy, row["sys_id"])
        heard = status if status is not None and row["state"] in WATCHED else None
        ekeks = ekeks_of(tx, hierarchy, row["sys_id"])
        found.append(
            {
                "sys_id": row["sys_id"],
                "name": row["name"],
                "kind": row["kind"],
                "state": row["state"],
                "status": heard["status"] if heard else None,
                "since": heard["since"] if heard else None,
                "call": heard["call"] if heard else None,
                "answer": heard["answer"] if heard else None,
                "reason": heard["reason"] if heard else None,
                "deletion_at": heard["deletion_at"] if heard else None,
                "next_check": next_check if row["state"] in WATCHED else None,
                "reference": row["reference"],
                "settings": configurations.shown_settings(row),
                "has_credentials": row["credentials"] is not None,
                "modules": modules[row["sys_id"]],
                "keys": sum(wrapped[ekek["sys_id"]] for ekek in ekeks),
                "lease_seconds": row["lease_seconds"],
                "grace_seconds": row["grace_seconds"],
                "timeout_seconds": row["timeout_seconds"],
                "created_at": row["created_at"],
                "activated_at": row["activated_at"],
                "revoke_reason": row["revoke_reason"],
            }
        )
    return found


def one(tx: Connection, hierarchy: Hierarchy, name: str) -> dict[str, Any]:
    """The configuration of that name or id, as `shown` has it.

    Raises:
        NotFound: when there is none.
    """
    wanted = configurations.named(tx, hierarchy, name)["sys_id"]
    return next(row for row in shown(tx, hierarchy) if row["sys_id"] == wanted)


def in_words(kind: str, settings: dict[str, str]) -> str:
    """The settings of a configuration, each on a line with its label."""
    labels = {one.name: one.label for one in kinds.kind(kind).settings}
    return "\n".join(f"{labels.get(name, name)}: {value}" for name, value in settings.items())


def keys_by_ekek(tx: Connection, hierarchy: Hierarchy) -> Counter[str]:
    """How many keys each EKEK wraps."""
    held = [row for row in keys.all_keys(tx, hierarchy) if row["material"] is not None]
    return Counter(row["ekek_id"] for row in held if row["ekek_id"] is not None)


def every_alert(tx: Connection, hierarchy: Hierarchy) -> list[Fields]:
    """Every alert, the newest first."""
    rows = hierarchy.integrity.all(tx, ALERTS)
    return sorted(rows, key=lambda row: str(row["raised_at"]), reverse=True)


def banner(tx: Connection, hierarchy: Hierarchy) -> list[Fields]:
    """The open alerts, each with the `name` of its configuration, the oldest first."""
    return [
        {**row, "name": configurations.of_id(tx, hierarchy, row["configuration_id"])["name"]}
        for row in alerts.open_alerts(tx, hierarchy)
    ]


def moving(tx: Connection, hierarchy: Hierarchy) -> dict[str, Moving]:
    """The modules some of whose keys are still to be moved, by id."""
    module_of = {
        spec["sys_id"]: str(spec["module_id"]) for spec in keys.all_specifications(tx, hierarchy)
    }
    left = Counter(module_of[row["spec_id"]] for row, _ in misplaced(tx, hierarchy))
    if not left:
        return {}
    held = [row for row in keys.all_keys(tx, hierarchy) if row["material"] is not None]
    total = Counter(module_of[row["spec_id"]] for row in held)
    return {module: Moving(total[module] - count, total[module]) for module, count in left.items()}
