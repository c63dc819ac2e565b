"""Encrypted field configurations, the jobs that move values, and the census."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta
from sqlalchemy import Connection

from keystead.base import clock
from keystead.clone import source
from keystead.dictionary.model import (
    Context,
    Field,
    Kind,
    Nothing,
    Operation,
    Outcome,
    Report,
    Row,
    Table,
)
from keystead.fields import counted, mass_job, service
from keystead.fields.model import Phase
from keystead.fields.tables import CONFIGURATIONS, COUNTS
from keystead.jobs import progress
from keystead.jobs import service as jobs
from keystead.jobs.model import TRANSITIONS, JobAction, JobKind, JobState
from keystead.jobs.service import JOBS
from keystead.keys import service as keys
from keystead.keys.tables import KEYS, MODULES

_CONFIGURATION: Final = CONFIGURATIONS.name
_JOB: Final = JOBS.name
_CENSUS: Final = COUNTS.name
_PHASES: Final[Mapping[str, str]] = {Phase.MIXED: "warn", Phase.SEALED: "good"}
_STATES: Final[Mapping[str, str]] = {
    JobState.NEW: "busy",
    JobState.RUNNING: "busy",
    JobState.DONE: "good",
    JobState.FAILED: "bad",
    JobState.CANCELLED: "warn",
}
_FORMS: Final = {"encrypted": "good", "plain": "warn", "unknown": "bad"}


def _business_tables(context: Context) -> list[str]:
    with context.instance.database.snapshot() as tx:
        return context.instance.database.table_names(tx)


TableName = Annotated[str, Meta(title="Table", extra={"choices": _business_tables})]
ModuleId = Annotated[
    str,
    Meta(title="Crypto module", description="A published one.", extra={"reference": MODULES.name}),
]


class Column(msgspec.Struct, forbid_unknown_fields=True):
    """A column, and what is to encrypt it."""

    table: TableName
    column: Annotated[str, Meta(title="Column", description="Text or whole numbers.")]
    module: ModuleId


class Attachments(msgspec.Struct, forbid_unknown_fields=True):
    """The table whose attachments are to be encrypted, and what encrypts them."""

    table: TableName
    module: ModuleId


class Pace(msgspec.Struct, forbid_unknown_fields=True):
    """How fast a job may go."""

    rows_per_second: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(title="Rows per second", description="At most so many; empty: as fast as it can."),
    ] = None


def _configure(context: Context, _row: Row, given: Column) -> Outcome:
    instance = context.instance
    with instance.database.transaction() as tx:
        made = service.configure(
            tx,
            instance.database,
            instance.hierarchy,
            table=given.table,
            column=given.column,
            module=_module(tx, context, given.module),
            actor=context.actor.name,
        )
    said = (
        f"{made.table}.{made.column} is configured; its values stay plain until they are encrypted."
    )
    return Outcome(said, _CONFIGURATION, made.sys_id)


def _configure_attachments(context: Context, _row: Row, given: Attachments) -> Outcome:
    instance = context.instance
    with instance.database.transaction() as tx:
        made = service.configure_attachments(
            tx,
            instance.database,
            instance.hierarchy,
            table=given.table,
            module=_module(tx, context, given.module),
            actor=context.actor.name,
        )
    said = f"New attachments of '{made.table}' are encrypted; earlier ones when they are moved."
    return Outcome(said, _CONFIGURATION, made.sys_id)


def _preview(context: Context, _row: Row, given: Column) -> Outcome:
    instance = context.instance
    with instance.database.snapshot() as tx:
        found = service.preview(
            tx,
            instance.database,
            instance.hierarchy,
            given.table,
            given.column,
            _module(tx, context, given.module),
        )
    where = f"{given.table}.{given.column}"
    report = Report(
        where,
        ("What", "Found"),
        (
            ("Type of the column", found.original_type),
            ("Mode", found.mode),
            ("Values to encrypt", found.plain),
            ("Empty, which stay empty", found.empty),
        ),
    )
    return Outcome(f"{where} can be encrypted. Nothing was changed.", _CONFIGURATION, report=report)


def _module(tx: Connection, context: Context, module_id: str) -> str:
    return str(keys.module_of(tx, context.instance.hierarchy, module_id)["name"])


def _start(kind: JobKind) -> Callable[[Context, Row, Pace], Outcome]:
    def run(context: Context, row: Row, given: Pace) -> Outcome:
        instance, name = context.instance, row["table_name"]
        with instance.database.transaction() as tx:
            instance.database.describe(tx, name)
            job_id = mass_job.start(
                tx,
                instance.hierarchy,
                kind,
                name,
                rows_per_second=given.rows_per_second,
                actor=context.actor.name,
            )
        said = f"{kind.capitalize()} of '{name}' waits to be picked up by a serving process."
        return Outcome(said, _JOB, job_id, job=job_id)

    return run


def _resume(context: Context, row: Row, _given: Nothing) -> Outcome:
    with context.instance.database.transaction() as tx:
        jobs.resume(tx, row["sys_id"], context.actor.name)
    return Outcome("The job goes on from where it stopped.", _JOB, row["sys_id"], row["sys_id"])


def _cancel(context: Context, row: Row, _given: Nothing) -> Outcome:
    instance = context.instance
    with instance.database.transaction() as tx:
        source.cancel_job(tx, instance.hierarchy, row["sys_id"], context.actor.name)
    return Outcome("The job is cancelled; what it moved stays readable.", _JOB, row["sys_id"])


def _count(context: Context, _row: Row, _given: Nothing) -> Outcome:
    instance = context.instance
    found = counted.count_now(instance.database, instance.hierarchy, context.actor.name)
    return Outcome(f"Counted: {found:,} encrypted values.", _CENSUS)


def _configurations(tx: Connection, context: Context) -> list[dict[str, Any]]:
    hierarchy = context.instance.hierarchy
    found = (*service.configurations(tx, hierarchy), *service.attachments(tx, hierarchy))
    return [
        {
            "sys_id": c.sys_id,
            "table_name": c.table,
            "column_name": c.column,
            "module_id": c.module_id,
            "spec_id": c.spec_id,
            "mode": c.scheme.mode,
            "phase": c.phase,
            "original_type": c.original_type,
        }
        for c in found
    ]


def _jobs(tx: Connection, _context: Context) -> list[dict[str, Any]]:
    now = clock.now()
    return [
        {
            "sys_id": job["sys_id"],
            **{name: job[name] for name in _AS_KEPT},
            "percent": progress.percent(job),
            "rate": progress.rate(job, now),
            "ends_at": progress.ends_at(job, now),
        }
        for job in jobs.listed(tx)
    ]


def _census(tx: Connection, _context: Context) -> list[dict[str, Any]]:
    return counted.last(tx)


def _allowed(action: JobAction) -> Callable[[Row], bool]:
    """A clone's job is run and cancelled by the clone's own operations."""
    return lambda row: (
        row["kind"] != JobKind.CLONE and (JobState(row["state"]), action) in TRANSITIONS
    )


_OF_TABLE: Final = (
    Operation("field.encrypt", "Encrypt now",
              "Mass encryption: encrypt every plain value of the table's configured columns.",
              _start(JobKind.ENCRYPT), Pace, fits=lambda row: row["phase"] == Phase.MIXED,
              danger="Afterwards the columns hold encrypted values only."),
    Operation("field.rekey", "Rekey",
              "Mass rekeying: move every value of the table to the active keys of its modules.",
              _start(JobKind.REKEY), Pace, fits=lambda row: row["phase"] == Phase.SEALED),
)  # fmt: skip

CONFIGURATION_TABLE: Final = Table(
    _CONFIGURATION,
    "field-configurations",
    "Encrypted Field Configuration",
    "Encrypted Field Configurations",
    "Which columns of which tables are encrypted, and by which module.",
    (
        Field("table_name", "Table"),
        Field("column_name", "Column"),
        Field("module_id", "Crypto module", Kind.REFERENCE, reference=MODULES.name),
        Field("mode", "Mode", help="Equal values are stored equal only where it says so."),
        Field("phase", "Phase", Kind.STATE, choices=tuple(Phase), tones=_PHASES,
              help="Mixed: it may still hold plain values. Sealed: it holds none."),
        Field("original_type", "Original type", in_list=False),
        Field("spec_id", "Specification", Kind.REFERENCE,
              reference="sys_kmf_module_crypto_spec", in_list=False),
    ),
    _configurations,
    display="column_name",
    create=Operation("field.configure", "New", "Declare a column as encrypted.",
                     _configure, Column),
    operations=_OF_TABLE,
    actions=(
        Operation("field.preview", "Preview",
                  "See what encrypting a column would come to; nothing is changed.",
                  _preview, Column),
        Operation("field.configure_attachments", "Encrypt attachments",
                  "Declare the attachments of a table's records as encrypted.",
                  _configure_attachments, Attachments),
    ),
    empty="No column is encrypted yet. Declare one with New.",
)  # fmt: skip

_AS_KEPT: Final = (
    *("kind", "subject", "state", "phase", "done", "total", "attempt", "actor"),
    *("created_at", "started_at", "finished_at", "error_what", "error_todo"),
)

JOB_TABLE: Final = Table(
    _JOB,
    "jobs",
    "Job",
    "Jobs",
    "Mass encryption and rekeying, clones and key exchanges: how far they are, newest first.",
    (
        Field("kind", "Kind", Kind.CHOICE, choices=tuple(JobKind)),
        Field("subject", "Of", help="The table, or the id of the clone or of the other instance."),
        Field("state", "State", Kind.STATE, choices=tuple(JobState), tones=_STATES),
        Field("phase", "Phase"),
        Field("percent", "Percent", Kind.NUMBER),
        Field("done", "Done", Kind.NUMBER, help="Rows; for a key exchange, keys."),
        Field("total", "Total", Kind.NUMBER),
        Field("rate", "Rows per second", Kind.NUMBER),
        Field("ends_at", "Done at about", Kind.MOMENT),
        Field("attempt", "Attempt", Kind.NUMBER, in_list=False),
        Field("actor", "Asked for by", in_list=False),
        Field("created_at", "Created", Kind.MOMENT),
        Field("started_at", "Started", Kind.MOMENT, in_list=False),
        Field("finished_at", "Ended", Kind.MOMENT, in_list=False),
        Field("error_what", "What stopped it", Kind.LONG_TEXT),
        Field("error_todo", "What to do", Kind.LONG_TEXT, in_list=False),
    ),
    _jobs,
    display="kind",
    operations=(
        Operation("job.resume", "Resume", "Let the failed job go on from where it stopped.",
                  _resume, fits=_allowed(JobAction.RESUME)),
        Operation("job.cancel", "Cancel", "End the job; what it moved stays moved and readable.",
                  _cancel, fits=_allowed(JobAction.CANCEL),
                  danger="The job does not go on; start the work anew if it is still wanted."),
    ),
    empty="No job yet. Encrypting a column makes one.",
)  # fmt: skip

CENSUS_TABLE: Final = Table(
    _CENSUS,
    "census",
    "Census Line",
    "Key Census",
    "How many values each key still holds, by table and column, as they were counted last.",
    (
        Field("table_name", "Table"),
        Field("column_name", "Column"),
        Field("form", "Form", Kind.STATE, choices=("encrypted", "plain", "empty", "unknown"),
              tones=_FORMS, help="Unknown: marked as encrypted by a key that the column lacks."),
        Field("key_id", "Key", Kind.REFERENCE, reference=KEYS.name),
        Field("amount", "Values", Kind.NUMBER),
        Field("mode", "Mode", in_list=False),
        Field("phase", "Phase", Kind.STATE, choices=tuple(Phase), tones=_PHASES),
        Field("counted_at", "Counted", Kind.MOMENT),
    ),
    _census,
    display="column_name",
    actions=(
        Operation("census.count", "Count now", "Count the values of every encrypted column.",
                  _count),
    ),
    empty="No value was counted. Key Census counts anew with Count now.",
)  # fmt: skip

TABLES: Final = (CONFIGURATION_TABLE, JOB_TABLE, CENSUS_TABLE)
