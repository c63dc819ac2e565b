"""Life-cycle rules of keys and their caps; the quorum, and what it is asked to destroy."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta
from sqlalchemy import Connection

from keystead.base import clock
from keystead.base.errors import Invalid, NotFound
from keystead.dictionary.model import (
    Context,
    Field,
    Kind,
    Nothing,
    Operation,
    Outcome,
    Row,
    Table,
)
from keystead.fields import census, endings
from keystead.keys import rules
from keystead.keys import service as keys
from keystead.keys.rule_model import (
    Base,
    Date,
    Direction,
    Duration,
    Rule,
    Unit,
    duration,
    moment,
    sentence,
)
from keystead.keys.tables import (
    DESTROY_REQUESTS,
    KEYS,
    MODULES,
    QUORUM,
    RULE_CAPS,
    RULES,
    SPECIFICATIONS,
)

_RULE: Final = RULES.name
_CAP: Final = RULE_CAPS.name
_REQUEST: Final = DESTROY_REQUESTS.name
_QUORUM: Final = QUORUM.name
_TONES: Final = {"open": "busy", "destroyed": "bad", "over": "warn"}


class NewRule(msgspec.Struct, forbid_unknown_fields=True):
    """When something happens to the keys of a module."""

    module: Annotated[str, Meta(title="Crypto module", extra={"reference": MODULES.name})]
    date: Annotated[Date, Meta(title="For", description="The date that the rule gives a key.")]
    length: Annotated[
        str, Meta(title="Duration", description="2y, 18m or 90d; or give a date below.")
    ] = ""
    direction: Annotated[Direction, Meta(title="Before or after")] = Direction.AFTER
    base: Annotated[Base, Meta(title="Relative to")] = Base.ACTIVATED
    at: Annotated[
        str, Meta(title="Or on this date", description="As 2030-12-31T18:00, in UTC.")
    ] = ""
    order: Annotated[
        int, Meta(title="Order", description="The lowest that gives a date decides.", ge=1)
    ] = 1


class NewCap(msgspec.Struct, forbid_unknown_fields=True):
    """How far off rules may put a date."""

    date: Annotated[Date, Meta(title="For", description="The date of a key.")]
    most: Annotated[str, Meta(title="At most", description="2y, 18m or 90d.")]
    module: Annotated[
        str,
        Meta(
            title="Exception for",
            description="One crypto module; empty: for all.",
            extra={"reference": MODULES.name},
        ),
    ] = ""


class NewQuorum(msgspec.Struct, forbid_unknown_fields=True):
    """Who may approve."""

    people: Annotated[
        list[str],
        Meta(title="People", description="As the audit log names them: user:NAME or os:NAME."),
    ]
    needed: Annotated[int, Meta(title="Needed", description="How many of them it takes.", ge=2)] = 2


def _add_rule(context: Context, _row: Row, given: NewRule) -> Outcome:
    hierarchy = context.instance.hierarchy
    if bool(given.length) == bool(given.at):
        raise Invalid("rule.form")
    if given.at:
        rule = Rule(given.date, given.order, moment(given.at))
    else:
        length = duration(given.length)
        rule = Rule(given.date, given.order, None, length, given.direction, given.base)
    with context.instance.database.transaction() as tx:
        name = keys.module_of(tx, hierarchy, given.module)["name"]
        made = rules.add_rule(tx, hierarchy, name, rule, context.actor.name)
    return Outcome(f"{name}: {sentence(made)}.", _RULE, made["sys_id"])


def _remove_rule(context: Context, row: Row, _given: Nothing) -> Outcome:
    with context.instance.database.transaction() as tx:
        rules.remove_rule(tx, context.instance.hierarchy, row["sys_id"], context.actor.name)
    said = "The rule is removed; dates that it gave are taken back when rules are applied next."
    return Outcome(said, _RULE)


def _set_cap(context: Context, _row: Row, given: NewCap) -> Outcome:
    hierarchy, most = context.instance.hierarchy, duration(given.most)
    with context.instance.database.transaction() as tx:
        name = keys.module_of(tx, hierarchy, given.module)["name"] if given.module else None
        rules.set_cap(tx, hierarchy, given.date, most, context.actor.name, name=name)
    return Outcome(f"Rules put the {given.date} of a key at most {most} off.", _CAP)


def _remove_cap(context: Context, row: Row, _given: Nothing) -> Outcome:
    hierarchy, date = context.instance.hierarchy, Date(row["for_date"])
    with context.instance.database.transaction() as tx:
        rules.set_cap(tx, hierarchy, date, None, context.actor.name, name=row["module"])
    return Outcome("The cap is taken away.", _CAP)


def _approve(context: Context, row: Row, _given: Nothing) -> Outcome:
    instance, hierarchy = context.instance, context.instance.hierarchy
    needs = census.needs(instance.database, hierarchy)
    with instance.database.transaction() as tx:
        request = keys.approve_destruction(tx, hierarchy, row["sys_id"], needs, context.actor.name)
    if request["destroyed_at"]:
        said = f"Key {request['key_id']} is destroyed. {endings.cleared(instance.database)}"
    else:
        said = f"{len(request['approvers'])} of {request['needed']} approvals are given."
    return Outcome(said, _REQUEST, row["sys_id"])


def _set_quorum(context: Context, _row: Row, given: NewQuorum) -> Outcome:
    hierarchy = context.instance.hierarchy
    with context.instance.database.transaction() as tx:
        made = keys.set_quorum(tx, hierarchy, given.people, given.needed, context.actor.name)
    return Outcome(f"{made['needed']} of {', '.join(made['people'])}.", _QUORUM, made["sys_id"])


def _rules(tx: Connection, context: Context) -> list[dict[str, Any]]:
    hierarchy = context.instance.hierarchy
    return [
        {
            "sys_id": row["sys_id"],
            "module_id": spec["module_id"],
            "spec_id": row["spec_id"],
            "says": sentence(row),
            "for_date": row["for_date"],
            "place": row["place"],
        }
        for spec in keys.all_specifications(tx, hierarchy)
        for row in rules.rule_rows(tx, hierarchy, spec["sys_id"])
    ]


def _caps(tx: Connection, context: Context) -> list[dict[str, Any]]:
    return [
        {
            "sys_id": row["sys_id"],
            "for_date": row["for_date"],
            "most": str(Duration(int(row["amount"]), Unit(row["unit"]))),
            "module": row["module"],
        }
        for row in rules.caps(tx, context.instance.hierarchy)
    ]


def _requests(tx: Connection, context: Context) -> list[dict[str, Any]]:
    return [
        {
            "sys_id": row["sys_id"],
            "key_id": row["key_id"],
            "state": _state(row),
            "requester": row["requester"],
            "reason": row["reason"],
            "lost_values": row["lost_values"],
            "needed": row["needed"],
            "people": ", ".join(row["people"]),
            "approvers": ", ".join(row["approvers"]),
            "created_at": row["created_at"],
            "expires_at": row["expires_at"],
            "destroyed_at": row["destroyed_at"],
        }
        for row in reversed(keys.destroy_requests(tx, context.instance.hierarchy))
    ]


def _state(row: Row) -> str:
    if row["destroyed_at"]:
        return "destroyed"
    return "open" if row["open_for"] and row["expires_at"] > clock.now() else "over"


def _quorum(tx: Connection, context: Context) -> list[dict[str, Any]]:
    try:
        row = keys.quorum(tx, context.instance.hierarchy)
    except NotFound:
        return []
    people = ", ".join(row["people"])
    return [{**{n: row[n] for n in ("sys_id", "needed", "set_at")}, "people": people}]


RULE_TABLE: Final = Table(
    _RULE,
    "key-rules",
    "Life-cycle Rule",
    "Life-cycle Rules",
    "When keys of a module are activated, expire, are renewed, rotated or destroyed.",
    (
        Field("module_id", "Crypto module", Kind.REFERENCE, reference=MODULES.name),
        Field("for_date", "For", Kind.CHOICE, choices=tuple(Date)),
        Field("says", "Says"),
        Field("place", "Order", Kind.NUMBER),
        Field("spec_id", "Specification", Kind.REFERENCE, reference=SPECIFICATIONS.name,
              in_list=False),
    ),
    _rules,
    display="says",
    create=Operation("rule.add", "New", "Say when something happens to the keys of a module.",
                     _add_rule, NewRule),
    operations=(Operation("rule.remove", "Remove", "Remove the rule.", _remove_rule),),
    empty="No rule yet: keys live until someone rotates them.",
)  # fmt: skip

CAP_TABLE: Final = Table(
    _CAP,
    "key-rule-caps",
    "Life-cycle Cap",
    "Life-cycle Caps",
    "How far off rules may put a date of a key.",
    (
        Field("for_date", "For", Kind.CHOICE, choices=tuple(Date)),
        Field("most", "At most"),
        Field("module", "Exception for", help="A module; empty: the cap is for all."),
    ),
    _caps,
    display="for_date",
    create=Operation("cap.set", "New", "Cap the rules of all modules, or of one.",
                     _set_cap, NewCap),
    operations=(Operation("cap.remove", "Remove", "Take the cap away.", _remove_cap),),
    empty="No cap yet.",
)  # fmt: skip

REQUEST_TABLE: Final = Table(
    _REQUEST,
    "destruction-requests",
    "Destruction Request",
    "Destruction Requests",
    "Keys that values need, and that people of the quorum are asked to destroy all the same.",
    (
        Field("key_id", "Key", Kind.REFERENCE, reference=KEYS.name),
        Field("state", "State", Kind.STATE, choices=tuple(_TONES), tones=_TONES),
        Field("requester", "Asked for by"),
        Field("reason", "Reason"),
        Field("lost_values", "Values that are lost", Kind.NUMBER),
        Field("approvers", "Approved by"),
        Field("needed", "Approvals needed", Kind.NUMBER),
        Field("people", "Who may approve", in_list=False),
        Field("created_at", "Created", Kind.MOMENT, in_list=False),
        Field("expires_at", "Open until", Kind.MOMENT),
        Field("destroyed_at", "Destroyed", Kind.MOMENT, in_list=False),
    ),
    _requests,
    display="key_id",
    operations=(
        Operation("destruction.approve", "Approve",
                  "Approve as yourself; the last approval that is needed destroys the key at once.",
                  _approve, fits=lambda row: row["state"] == "open",
                  danger="The values that need the key can never be read again."),
    ),
    empty="No such request. One is made on the form of a key.",
)  # fmt: skip

QUORUM_TABLE: Final = Table(
    _QUORUM,
    "quorum",
    "Destruction Quorum",
    "Destruction Quorum",
    "The people of whom so many must approve before a key that values need is destroyed.",
    (
        Field("needed", "Needed", Kind.NUMBER),
        Field("people", "People"),
        Field("set_at", "Set", Kind.MOMENT),
    ),
    _quorum,
    create=Operation("quorum.set", "New", "Name the people, once.", _set_quorum, NewQuorum,
                     danger="It is set once and not changed afterwards."),
    empty="No quorum is set: a key that values need is not destroyed.",
)  # fmt: skip

TABLES: Final = (RULE_TABLE, CAP_TABLE, REQUEST_TABLE, QUORUM_TABLE)
