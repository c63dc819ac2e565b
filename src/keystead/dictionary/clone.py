"""Clones: where to, which, and what became of every value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta
from sqlalchemy import Connection

from keystead.clone import plan, source
from keystead.clone.model import TRANSITIONS, Action, KeyOption, Side, State
from keystead.clone.preflight import Ours
from keystead.clone.tables import CLONES
from keystead.dictionary.fields import Pace
from keystead.dictionary.model import (
    Context,
    Field,
    Kind,
    Nothing,
    Operation,
    Outcome,
    Related,
    Row,
    Table,
)
from keystead.exchange import peers
from keystead.exchange.peers import PEERS
from keystead.exchange.tables import REQUESTS
from keystead.jobs.service import JOBS
from keystead.keys.tables import KEYS

_CLONE: Final = CLONES.name
_TARGET: Final = "keystead_clone_target"
_COUNT: Final = "keystead_clone_count"
_TONES: Final[Mapping[str, str]] = {
    State.PLANNED: "busy",
    State.RUNNING: "busy",
    State.STAGING: "busy",
    State.COMMITTED: "good",
    State.CANCELLED: "warn",
}


class NewClone(msgspec.Struct, forbid_unknown_fields=True):
    """Where to clone, and what happens to the keys."""

    target: Annotated[
        str,
        Meta(
            title="Target instance",
            description="Paired on both sides, served, and empty.",
            extra={"reference": _TARGET},
        ),
    ]
    keys: Annotated[
        KeyOption,
        Meta(
            title="Keys",
            description="Exchange: the target receives them once. And rekey: it moves the values"
            " to its own. Withheld: the values stay dark there.",
        ),
    ] = KeyOption.EXCHANGE


def _check(context: Context, row: Row, _given: Nothing) -> Outcome:
    with context.instance.database.snapshot() as tx:
        peer = peers.by_id(tx, context.instance.hierarchy, row["sys_id"])
    source.ask(context.channel, peer)
    return Outcome(
        f"'{row['name']}' is ready: it answers, and it is empty.", _TARGET, row["sys_id"]
    )


def _plan(context: Context, _row: Row, given: NewClone) -> Outcome:
    instance = context.instance
    made = source.make_plan(
        instance.database,
        instance.hierarchy,
        context.channel,
        given.target,
        given.keys,
        context.actor.name,
    )
    said = "The clone is planned: see below what becomes of every value, then run it."
    return Outcome(said, _CLONE, made["sys_id"])


def _run(context: Context, row: Row, given: Pace) -> Outcome:
    instance = context.instance
    with instance.database.transaction() as tx:
        job_id = source.request(
            tx, instance.hierarchy, row["sys_id"], context.actor.name, given.rows_per_second
        )
    said = "The clone waits to be picked up by a serving process."
    return Outcome(said, _CLONE, row["sys_id"], job=job_id)


def _cancel(context: Context, row: Row, _given: Nothing) -> Outcome:
    hierarchy = context.instance.hierarchy
    with context.instance.database.transaction() as tx:
        source.cancel_job(tx, hierarchy, row["job_id"], context.actor.name)
    said = "The clone is given up; no key travels for it. It can be run again."
    return Outcome(said, _CLONE, row["sys_id"])


def _targets(tx: Connection, context: Context) -> list[dict[str, Any]]:
    return [
        {"sys_id": peer.instance_id, "name": peer.identity.name, "url": peer.url}
        for peer in peers.listed(tx, context.instance.hierarchy)
    ]


def _clones(tx: Connection, context: Context) -> list[dict[str, Any]]:
    return [
        {
            **{name: row[name] for name in _AS_KEPT},
            "keys": content["keys"],
            "rows": sum(found["rows"] for found in content["tables"].values()),
            "values": sum(found["encrypted"] for found in content["values"]),
            "attachments": sum(found["count"] for found in content["attachments"].values()),
        }
        for row, content in _planned(tx, context)
    ]


def _counts(tx: Connection, context: Context) -> list[dict[str, Any]]:
    return [
        {
            "sys_id": f"{row['sys_id']}.{number}",
            "clone_id": row["sys_id"],
            "created_at": row["created_at"],
            **line,
        }
        for row, content in _planned(tx, context)
        for number, line in enumerate(_lines(content), start=1)
    ]


def _planned(tx: Connection, context: Context) -> list[tuple[Any, plan.Plan]]:
    """Every clone with what its plan says, newest first."""
    found = reversed(plan.listed(tx, context.instance.hierarchy))
    return [(row, plan.content(row)) for row in found]


def _lines(content: plan.Plan) -> list[dict[str, Any]]:
    """What a plan counted: rows of tables, then values by column and key, then attachments."""

    def line(
        table: str | None, column: str | None, key_id: str | None, count: int, fate: str
    ) -> Row:
        return {
            "table_name": table,
            "column_name": column,
            "key_id": key_id,
            "amount": count,
            "fate": fate,
        }

    rows = [line(t, None, None, c["rows"], "copied") for t, c in content["tables"].items()]
    values = [
        line(v["table"], v["column"], key_id, count, v["class"])
        for v in content["values"]
        for key_id, count in v["by_key"].items()
    ]
    left = [
        line(t, "attachments", None, a["count"], a["class"])
        for t, a in content["attachments"].items()
    ]
    external = [
        {**line(None, None, None, 1, _fate(case)), "module": case["module"]}
        for case in content.get("external", ())
        if case["here"] != Ours.ABSENT
    ]
    return [{"module": None, **one} for one in (*rows, *values, *left, *external)]


def _fate(case: Mapping[str, str]) -> str:
    """What is said of a module under both instances' external keys."""
    return f"here {case['here']}; target: {case['target']}"


def _can_run(row: Row) -> bool:
    return row["side"] == Side.SOURCE and (State(row["state"]), Action.RUN) in TRANSITIONS


def _can_cancel(row: Row) -> bool:
    return row["side"] == Side.SOURCE and (State(row["state"]), Action.CANCEL) in TRANSITIONS


_AS_KEPT: Final = (
    *("sys_id", "side", "peer_id", "state", "attempt", "job_id"),
    *("created_at", "committed_at"),
)

TARGET_TABLE: Final = Table(
    _TARGET,
    "clone-targets",
    "Clone Target",
    "Clone Targets",
    "Paired instances, which could receive a clone if they are empty.",
    (Field("name", "Name"), Field("url", "Address")),
    _targets,
    display="name",
    operations=(
        Operation("clone.preflight", "Check", "Ask the target whether it could receive a clone.",
                  _check),
    ),
    related=(Related(_CLONE, "peer_id"),),
    empty="No paired instance yet. Pair one under Paired Instances.",
)  # fmt: skip

CLONE_TABLE: Final = Table(
    _CLONE,
    "clones",
    "Clone Request",
    "Clone Requests",
    "Clones from here and to here, newest first.",
    (
        Field("state", "State", Kind.STATE, choices=tuple(State), tones=_TONES),
        Field("side", "This instance is the", Kind.CHOICE, choices=tuple(Side)),
        Field("peer_id", "Other instance", Kind.REFERENCE, reference=PEERS.name),
        Field("keys", "Keys", Kind.CHOICE, choices=tuple(KeyOption)),
        Field("rows", "Rows", Kind.NUMBER),
        Field("values", "Encrypted values", Kind.NUMBER),
        Field("attachments", "Attachments left behind", Kind.NUMBER, in_list=False),
        Field("attempt", "Attempt", Kind.NUMBER, in_list=False),
        Field("job_id", "Job", Kind.REFERENCE, reference=JOBS.name, in_list=False),
        Field("created_at", "Created", Kind.MOMENT),
        Field("committed_at", "In place", Kind.MOMENT),
    ),
    _clones,
    create=Operation("clone.plan", "New",
                     "Plan a clone: what becomes of every value. Refused if any would be lost.",
                     _plan, NewClone),
    operations=(
        Operation("clone.run", "Run", "Copy this instance into the target, as it was planned.",
                  _run, Pace, fits=_can_run,
                  danger="The target receives all rows, and the keys unless they are withheld."),
        Operation("clone.cancel", "Cancel", "Give up the clone; the source does not change.",
                  _cancel, fits=_can_cancel,
                  danger="No key travels for it any more."),
    ),
    related=(Related(_COUNT, "clone_id"), Related(REQUESTS.name, "clone_id")),
    empty="No clone yet. Plan one with New.",
)  # fmt: skip

COUNT_TABLE: Final = Table(
    _COUNT,
    "clone-history",
    "Clone Count",
    "Clone History",
    "What each clone's plan counted, by table, column and key, and what becomes of it.",
    (
        Field("clone_id", "Clone", Kind.REFERENCE, reference=_CLONE),
        Field("created_at", "Planned", Kind.MOMENT),
        Field("table_name", "Table"),
        Field("column_name", "Column", help="Empty: rows of the table, or a module."),
        Field("module", "Module", help="How its external key stands on both sides."),
        Field("key_id", "Key", Kind.REFERENCE, reference=KEYS.name),
        Field("amount", "Count", Kind.NUMBER),
        Field("fate", "After the clone"),
    ),
    _counts,
    empty="No clone yet.",
)

TABLES: Final = (TARGET_TABLE, CLONE_TABLE, COUNT_TABLE)
