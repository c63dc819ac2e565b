"""System properties and scheduled jobs."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta
from sqlalchemy import Connection

from keystead.access import properties
from keystead.access.authority import Right, refuse_unless
from keystead.access.properties import LONGEST_VALUE
from keystead.access.tables import PROPERTIES
from keystead.dictionary.model import Context, Field, Kind, Nothing, Operation, Outcome, Row, Table
from keystead.instance import schedules
from keystead.instance.schedules import LONGEST_MINUTES, SCHEDULES, Job

_PROPERTY: Final = PROPERTIES.name
_SCHEDULE: Final = SCHEDULES.name
_SET_PROTECTED: Final = "property.set_protected"
_TONES: Final = {"done": "good", "failed": "bad", "waiting": "busy", "not active": "warn"}


class NewProperty(msgspec.Struct, forbid_unknown_fields=True):
    """A property of one's own, a text."""

    name: Annotated[str, Meta(title="Name")]
    value: Annotated[str, Meta(title="Value", max_length=LONGEST_VALUE)]
    description: Annotated[
        str, Meta(title="Description", description="What it is for.", max_length=LONGEST_VALUE)
    ] = ""


class Value(msgspec.Struct, forbid_unknown_fields=True):
    """A value for a property, of its type."""

    value: Annotated[str, Meta(title="Value", max_length=LONGEST_VALUE)]


class Interval(msgspec.Struct, forbid_unknown_fields=True):
    """How often a job runs."""

    minutes: Annotated[int, Meta(title="Every (minutes)", ge=1, le=LONGEST_MINUTES)]


def _create(context: Context, _row: Row, given: NewProperty) -> Outcome:
    integrity = context.instance.hierarchy.integrity
    with context.instance.database.transaction() as tx:
        made = properties.create(
            tx, integrity, given.name, given.value, given.description, context.actor.name
        )
    return Outcome(f"Property '{given.name}' is made.", _PROPERTY, made.property.sys_id)


def _set(context: Context, row: Row, given: Value) -> Outcome:
    integrity, name = context.instance.hierarchy.integrity, row["name"]
    with context.instance.database.transaction() as tx:
        properties.change(tx, integrity, name, given.value, context.actor.name)
    return Outcome(f"Property '{name}' is changed; it counts at once.", _PROPERTY, row["sys_id"])


def _set_protected(context: Context, row: Row, given: Value) -> Outcome:
    owner = Right(frozenset({row["owner"]}), elevated=True)
    refuse_unless(context.actor, owner, _SET_PROTECTED)
    return _set(context, row, given)


def _run(context: Context, row: Row, _given: Nothing) -> Outcome:
    integrity, name = context.instance.hierarchy.integrity, row["operation"]
    with context.instance.database.transaction() as tx:
        schedules.request(tx, integrity, name, context.actor.name)
    return Outcome(f"'{row['name']}' runs within seconds.", _SCHEDULE, row["sys_id"])


def _set_interval(context: Context, row: Row, given: Interval) -> Outcome:
    return _decide(context, row, minutes=given.minutes)


def _activate(context: Context, row: Row, _given: Nothing) -> Outcome:
    return _decide(context, row, active=True)


def _deactivate(context: Context, row: Row, _given: Nothing) -> Outcome:
    return _decide(context, row, active=False)


def _decide(context: Context, row: Row, **decided: Any) -> Outcome:
    integrity, actor = context.instance.hierarchy.integrity, context.actor.name
    with context.instance.database.transaction() as tx:
        job = schedules.change(tx, integrity, row["operation"], actor, **decided)
    does = f"runs every {job.minutes} minutes" if job.active else "does not run by itself"
    return Outcome(f"'{row['name']}' {does}.", _SCHEDULE, row["sys_id"])


def _properties(tx: Connection, context: Context) -> list[dict[str, Any]]:
    return [
        {
            "sys_id": held.property.sys_id,
            "name": held.property.name,
            "value": held.value,
            "type": str(held.property.type),
            "is_set": held.is_set,
            "default_value": held.property.default,
            "owner": held.property.owner,
            "description": held.property.summary,
        }
        for held in properties.listed(tx, context.instance.hierarchy.integrity)
    ]


def _schedules(tx: Connection, context: Context) -> list[dict[str, Any]]:
    return [
        {
            "sys_id": job.operation.sys_id,
            "name": job.operation.label,
            "operation": job.operation.name,
            "minutes": job.minutes,
            "active": job.active,
            "state": _state(job),
            "last_run": job.started_at,
            "next_run": job.next_run,
            "result": job.result,
        }
        for job in schedules.listed(tx, context.instance.hierarchy.integrity)
    ]


def _state(job: Job) -> str:
    if job.requested_at is not None or (job.active and job.ended_at is None):
        return "waiting"
    if job.failed:
        return "failed"
    return "done" if job.active else "not active"


PROPERTY_TABLE: Final = Table(
    _PROPERTY,
    "properties",
    "System Property",
    "System Properties",
    "Values that are changed while the instance runs; protected ones by their owner alone.",
    (
        Field("name", "Name"),
        Field("value", "Value", Kind.LONG_TEXT),
        Field("type", "Type"),
        Field("description", "Description", Kind.LONG_TEXT),
        Field("owner", "Owner", help="The role that changes it, in an elevated session."),
        Field("is_set", "Set", Kind.YES_NO, in_list=False),
        Field("default_value", "Default", in_list=False),
    ),
    _properties,
    display="name",
    create=Operation("property.create", "New", "Add a property of your own, a text.",
                     _create, NewProperty),
    operations=(
        Operation("property.set", "Change", "Give the property another value.", _set, Value,
                  fits=lambda row: row["owner"] is None),
        Operation(_SET_PROTECTED, "Change protected", "Give the property another value, as owner.",
                  _set_protected, Value, fits=lambda row: row["owner"] is not None),
    ),
)  # fmt: skip

SCHEDULE_TABLE: Final = Table(
    _SCHEDULE,
    "schedules",
    "Scheduled Job",
    "Scheduled Jobs",
    "What the instance does by itself; one process runs what is due.",
    (
        Field("name", "Name"),
        Field("operation", "Operation"),
        Field("minutes", "Every (minutes)", Kind.NUMBER),
        Field("active", "Active", Kind.YES_NO),
        Field("state", "State", Kind.STATE, tones=_TONES, choices=tuple(_TONES)),
        Field("last_run", "Last run", Kind.MOMENT),
        Field("next_run", "Next run", Kind.MOMENT),
        Field("result", "Last result", Kind.LONG_TEXT),
    ),
    _schedules,
    display="name",
    operations=(
        Operation("schedule.run", "Execute Now", "Run the job now, active or not.", _run),
        Operation("schedule.set_interval", "Change interval", "Decide how often the job runs.",
                  _set_interval, Interval),
        Operation("schedule.activate", "Activate", "Let the job run by itself again.", _activate,
                  fits=lambda row: not row["active"]),
        Operation("schedule.deactivate", "Deactivate", "Let the job run only when asked for.",
                  _deactivate, fits=lambda row: bool(row["active"]),
                  danger="What the job looks after is left as it is until somebody runs it."),
    ),
)  # fmt: skip

TABLES: Final = (PROPERTY_TABLE, SCHEDULE_TABLE)
