"""Doing what is due: dates that rules give to keys, and the bound on how often a key encrypts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import Connection

from keystead.audit import log
from keystead.base import clock
from keystead.base.errors import Conflict, KeysteadError, Tampered
from keystead.database.integrity import Fields
from keystead.keys import destruction, held, life_cycle, modules, usage
from keystead.keys.destruction import Needs
from keystead.keys.hierarchy import Hierarchy
from keystead.keys.model import KEY_TRANSITIONS, KeyAction, KeyState, ModuleState, Origin
from keystead.keys.rule_model import Rule, dates
from keystead.keys.rules import rules_of

ACTOR: Final = "rules"
NEEDED_PAUSE: Final = timedelta(hours=1)  # a census of large tables is not for every minute


@dataclass(frozen=True, slots=True)
class Applied:
    """What was done to a key because it was due; or the code of what held it back."""

    key_id: str
    module: str
    action: str
    held_back: str | None = None


def apply_due(
    tx: Connection,
    hierarchy: Hierarchy,
    needs: Needs,
    now: str,
    *,
    limit: int = usage.LIMIT,
) -> list[Applied]:
    """Write the dates that rules give to keys, and do what is due.

    What is refused (a job runs, values need the key) is left for the next time and said so.

    Raises:
        Tampered: when a key or rule is not as it was written.
    """
    done: list[Applied] = []
    for spec in modules.all_specifications(tx, hierarchy):
        module = modules.module_of(tx, hierarchy, spec["module_id"])
        if module["state"] == ModuleState.PUBLISHED:
            done += _Specification(tx, hierarchy, spec, module["name"], needs, now, limit).apply()
    return done


class _Specification:
    """The keys of one specification, at one moment."""

    def __init__(
        self,
        tx: Connection,
        hierarchy: Hierarchy,
        spec: Fields,
        module: str,
        needs: Needs,
        now: str,
        limit: int,
    ) -> None:
        self._tx, self._hierarchy, self._spec, self._module = tx, hierarchy, spec, module
        self._needs, self._now, self._limit = needs, now, limit
        self._done: list[Applied] = []

    def apply(self) -> list[Applied]:
        tx, h, now = self._tx, self._hierarchy, self._now
        rules = rules_of(tx, h, self._spec["sys_id"])
        for key in held.keys_of(tx, h, self._spec["sys_id"]):
            if key["state"] == KeyState.DESTROYED:
                continue
            row = self._dated(key, rules)
            row = self._do(
                KeyAction.ACTIVATE,
                row,
                _is_due(row["activate_at"], now),
                lambda r: life_cycle.activate(tx, h, r, ACTOR, at=now),
            )
            row = self._do(
                KeyAction.RENEW,
                row,
                _is_due(row["renew_at"], now, since=row["renewed_at"]),
                lambda r: life_cycle.renew(tx, h, r, ACTOR, at=now),
            )
            used_up = usage.is_counted(self._spec) and usage.is_nearly_used_up(
                tx, h, row["sys_id"], self._limit
            )
            row = self._do(
                KeyAction.ROTATE,
                row,
                used_up
                or row["rotation_owed_at"] is not None
                or _is_due(row["rotate_at"], now, since=row["activated_at"]),
                self._rotate,
            )
            row = self._do(
                KeyAction.EXPIRE,
                row,
                _is_due(row["expires_at"], now),
                lambda r: life_cycle.expire(tx, h, r, ACTOR, at=now),
            )
            held_until = row["destroy_held_until"]
            row = self._do(
                KeyAction.DESTROY,
                row,
                _is_due(row["destroy_at"], now) and (held_until is None or held_until <= now),
                lambda r: destruction.destroy(tx, h, r, self._needs, ACTOR, at=now),
            )
            if self._done and self._done[-1] == self._applied(row, KeyAction.DESTROY, "key.needed"):
                pause = clock.parse(now) + NEEDED_PAUSE
                held.change(tx, h, row, destroy_held_until=clock.text_of(pause))
        return self._done

    def _applied(self, row: Fields, action: KeyAction, held_back: str | None) -> Applied:
        return Applied(row["sys_id"], self._module, action.name.lower(), held_back)

    def _dated(self, row: Fields, rules: list[Rule]) -> Fields:
        found = dates(rules, row)
        changed = {name: date for name, date in found.items() if row[name] != date}
        if not changed:
            return row
        log.record(self._tx, ACTOR, "key.schedule", row["sys_id"], **changed)
        return held.change(self._tx, self._hierarchy, row, **changed)

    def _do(
        self, action: KeyAction, row: Fields, due: bool, step: Callable[[Fields], object]
    ) -> Fields:
        if not due or (KeyState(row["state"]), action) not in KEY_TRANSITIONS:
            return row
        held_back = None
        try:
            with self._tx.begin_nested():
                step(row)
        except Tampered:
            raise
        except KeysteadError as refused:
            held_back = refused.code
        self._done.append(self._applied(row, action, held_back))
        return held.key(self._tx, self._hierarchy, row["sys_id"])

    def _rotate(self, row: Fields) -> None:
        _rotate_by_itself(self._tx, self._hierarchy, self._module, row, ACTOR, self._now)


def rotate_if_used_up(
    tx: Connection,
    hierarchy: Hierarchy,
    spec: Fields,
    calls: int,
    actor: str,
    *,
    limit: int = usage.LIMIT,
) -> None:
    """Rotate the active key of a specification when it cannot encrypt `calls` more values.

    Raises:
        Conflict: when no key could, or a job counts on the present one.
    """
    if not usage.is_counted(spec):
        return
    active = held.find_active(tx, hierarchy, spec["sys_id"])
    if active is None or usage.reserved(tx, hierarchy, active["sys_id"]) + calls <= limit:
        return
    name = modules.module_name(tx, hierarchy, spec["sys_id"])
    if calls > limit:
        raise Conflict("key.too_many", module=name, count=calls, limit=limit)
    _rotate_by_itself(tx, hierarchy, name, active, actor)


def _rotate_by_itself(
    tx: Connection,
    hierarchy: Hierarchy,
    module: str,
    active: Fields,
    actor: str,
    at: str | None = None,
) -> None:
    """Rotate to the key that has waited longest, or to a new one; never from a customer's to ours.

    Raises:
        Conflict: when a customer's key would have to be replaced by one of ours, or a job counts
            on the present one.
    """
    keys = held.keys_of(tx, hierarchy, active["spec_id"])
    waiting = [key["sys_id"] for key in keys if key["state"] == KeyState.GENERATED]
    if not waiting and active["origin"] == Origin.SUPPLIED:
        raise Conflict("key.supply", module=module)
    to = waiting[0] if waiting else None
    life_cycle.rotate(tx, hierarchy, module, actor, to=to, at=at)


def _is_due(moment: str | None, now: str, *, since: str | None = None) -> bool:
    """Whether a date has come; one that was over at `since` never comes again."""
    return moment is not None and moment <= now and (since is None or since < moment)
