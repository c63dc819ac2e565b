"""Keeping the life-cycle rules of modules, and the caps of the instance."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection

from keystead.audit import log
from keystead.base import clock
from keystead.base.errors import Conflict, Invalid, NotFound
from keystead.database.integrity import Fields
from keystead.keys import modules
from keystead.keys.hierarchy import Hierarchy
from keystead.keys.rule_model import (
    Base,
    Date,
    Direction,
    Duration,
    Rule,
    Unit,
    exceeds,
)
from keystead.keys.tables import RULE_CAPS, RULES

_ALL: Final = "*"


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
    hierarchy.integrity.delete(tx, RULES, row, "the rule")
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
    for earlier in hierarchy.integrity.all(tx, RULE_CAPS, same):
        hierarchy.integrity.delete(tx, RULE_CAPS, earlier, "the cap")
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
