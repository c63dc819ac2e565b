"""Keeping the life-cycle rules of modules, the caps of the instance, and doing what is due."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from keystead.audit import log
from keystead.base import clock
from keystead.base.errors import Conflict, Invalid, KeysteadError, NotFound, Tampered
from keystead.database.integrity import Fields
from keystead.keys import destruction, held, life_cycle, modules, usage
from keystead.keys.destruction import Needs
from keystead.keys.hierarchy import Hierarchy
from keystead.keys.model import (
    KEY_TRANSITIONS,
    KeyAction,
    KeyState,
    ModuleState,
    Origin,
)
from keystead.keys.rule_model import (
    Base,
    Date,
    Direction,
    Duration,
    Rule,
    Unit,
    dates,
    exceeds,
)
from keystead.keys.tables import RULE_CAPS, RULES

OPERATION: Final = "keys.apply_rules"  # the name by which it is scheduled
ACTOR: Final = "rules"
_ALL: Final = "*"


@dataclass(frozen=True, slots=True)
class Applied:
    """What was done to a key because it was due; or the code of what held it back."""

    key_id: str
    module: str
    action: str
    held_back: str | None = None


def add_rule(tx: Connection, hierarchy: Hierarchy, name: str, rule: Rule, actor: str) -> Fields:
    """Add a rule to a module.

    Raises:
        Conflict: when its place is taken, or it or another goes beyond what the instance allows.
        Invalid: for an absolute date that is over.
    """
    module = modules.module(tx, hierarchy, name)
    spec_id = str(modules.specification(tx, hierarchy, module["sys_id"])["sys_id"])
    if rule.at is not None and rule.at <= clock.now():
        raise Invalid("rule.past", at=rule.at)
    present = rules_of(tx, hierarchy, spec_id)
    if any(r.date is rule.date and r.order == rule.order for r in present):
        raise Conflict("rule.place", module=module["name"], date=rule.date, order=rule.order)
    _refuse_beyond(tx, hierarchy, spec_id, module["name"], [*present, rule])
    duration = rule.duration
    rule_id = hierarchy.integrity.insert(
        tx,
        RULES,
        spec_id=spec_id,
        for_date=rule.date,
        place=rule.order,
        at=rule.at,
        amount=duration.amount if duration else None,
        unit=duration.unit if duration else None,
        direction=rule.direction,
        relative_to=rule.base,
    )
    log.record(tx, actor, "rule.add", rule_id, module=module["name"], date=rule.date)
    return rule_row(tx, hierarchy, rule_id)


def remove_rule(tx: Connection, hierarchy: Hierarchy, rule_id: str, actor: str) -> None:
    """Remove a rule; the dates that it gave are taken back when rules are applied next.

    Raises:
        NotFound: when there is none of that id.
    """
    row = rule_row(tx, hierarchy, rule_id)
    tx.execute(RULES.delete().where(RULES.c.sys_id == rule_id))
    name = modules.module_name(tx, hierarchy, row["spec_id"])
    log.record(tx, actor, "rule.remove", rule_id, module=name, date=row["for_date"])


def rule_row(tx: Connection, hierarchy: Hierarchy, rule_id: str) -> Fields:
    """A rule as it is kept.

    Raises:
        NotFound: when there is none of that id.
    """
    missing = NotFound("rule.missing", rule=rule_id)
    return hierarchy.integrity.one(tx, RULES, missing, RULES.c.sys_id == rule_id)


def rule_rows(tx: Connection, hierarchy: Hierarchy, spec_id: str) -> list[Fields]:
    """The rules of a specification as they are kept, by date and order."""
    found = hierarchy.integrity.all(tx, RULES, RULES.c.spec_id == spec_id)
    return sorted(found, key=lambda row: (list(Date).index(row["for_date"]), row["place"]))


def rules_of(tx: Connection, hierarchy: Hierarchy, spec_id: str) -> list[Rule]:
    """The rules of a specification."""
    return [_rule(row) for row in rule_rows(tx, hierarchy, spec_id)]


def set_cap(
    tx: Connection,
    hierarchy: Hierarchy,
    date: Date,
    most: Duration | None,
    actor: str,
    *,
    name: str | None = None,
) -> None:
    """Let rules put a date at most so far off, for all modules or as an exception for one.

    Without a duration the cap is taken away.

    Raises:
        Conflict: when a rule that is there goes beyond.
    """
    spec_id = _ALL
    if name is not None:
        module = modules.module(tx, hierarchy, name)
        spec_id = str(modules.specification(tx, hierarchy, module["sys_id"])["sys_id"])
    same = (RULE_CAPS.c.spec_id == spec_id) & (RULE_CAPS.c.for_date == date)
    tx.execute(RULE_CAPS.delete().where(same))
    if most is not None:
        hierarchy.integrity.insert(
            tx, RULE_CAPS, spec_id=spec_id, for_date=date, amount=most.amount, unit=most.unit
        )
    for spec in modules.all_specifications(tx, hierarchy):
        found = rules_of(tx, hierarchy, spec["sys_id"])
        owner = modules.module_name(tx, hierarchy, spec["sys_id"])
        _refuse_beyond(tx, hierarchy, spec["sys_id"], owner, found)
    log.record(tx, actor, "rule.cap", date, module=name, most=str(most) if most else None)


def caps(tx: Connection, hierarchy: Hierarchy) -> list[Fields]:
    """The caps as they are kept; `module` is None for that of the instance."""
    return [
        {
            **row,
            "module": None
            if row["spec_id"] == _ALL
            else modules.module_name(tx, hierarchy, row["spec_id"]),
        }
        for row in hierarchy.integrity.all(tx, RULE_CAPS)
    ]


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
                used_up or _is_due(row["rotate_at"], now, since=row["activated_at"]),
                self._rotate,
            )
            row = self._do(
                KeyAction.EXPIRE,
                row,
                _is_due(row["expires_at"], now),
                lambda r: life_cycle.expire(tx, h, r, ACTOR, at=now),
            )
            self._do(
                KeyAction.DESTROY,
                row,
                _is_due(row["destroy_at"], now),
                lambda r: destruction.destroy(tx, h, r, self._needs, ACTOR, at=now),
            )
        return self._done

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
        self._done.append(Applied(row["sys_id"], self._module, action.name.lower(), held_back))
        return held.key(self._tx, self._hierarchy, row["sys_id"])

    def _rotate(self, row: Fields) -> None:
        keys = held.keys_of(self._tx, self._hierarchy, self._spec["sys_id"])
        waiting = [key["sys_id"] for key in keys if key["state"] == KeyState.GENERATED]
        if not waiting and row["origin"] == Origin.SUPPLIED:
            raise Conflict("key.supply", module=self._module)
        to = waiting[0] if waiting else None
        life_cycle.rotate(self._tx, self._hierarchy, self._module, ACTOR, to=to, at=self._now)


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
    life_cycle.rotate(tx, hierarchy, name, actor)


def _is_due(moment: str | None, now: str, *, since: str | None = None) -> bool:
    """Whether a date has come; one that was over at `since` never comes again."""
    return moment is not None and moment <= now and (since is None or since < moment)


def _refuse_beyond(
    tx: Connection, hierarchy: Hierarchy, spec_id: str, module: str, rules: list[Rule]
) -> None:
    for date in Date:
        most = _cap(tx, hierarchy, spec_id, date)
        for rule in rules:
            if rule.date is date and most and exceeds(rule, rules, most, clock.now()):
                raise Conflict("rule.beyond", module=module, date=date, most=most)


def _cap(tx: Connection, hierarchy: Hierarchy, spec_id: str, date: Date) -> Duration | None:
    condition = RULE_CAPS.c.spec_id.in_((spec_id, _ALL)) & (RULE_CAPS.c.for_date == date)
    found = {row["spec_id"]: row for row in hierarchy.integrity.all(tx, RULE_CAPS, condition)}
    row = found.get(spec_id) or found.get(_ALL)
    return Duration(int(row["amount"]), Unit(row["unit"])) if row else None


def _rule(row: Fields) -> Rule:
    relative = row["at"] is None
    return Rule(
        Date(row["for_date"]),
        int(row["place"]),
        row["at"],
        Duration(int(row["amount"]), Unit(row["unit"])) if relative else None,
        Direction(row["direction"]) if relative else None,
        Base(row["relative_to"]) if relative else None,
    )
