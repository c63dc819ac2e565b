"""The audit log, its signed heads, and the check that nothing was changed."""

from __future__ import annotations

import json
from typing import Any, Final

from sqlalchemy import Connection

from keystead.audit import heads, log
from keystead.audit.tables import AUDIT, HEADS
from keystead.base.errors import NotFound
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
from keystead.instance import auditing

_LOG: Final = AUDIT.name
_HEAD: Final = HEADS.name
_MOST_ENTRIES: Final = 2_000
_MOST_HEADS: Final = 200
_MOST_DIGITS: Final = 15
_OF_HEAD: Final = ("number", "at", "size", "root", "state_root")


def _verify(context: Context, _row: Row, _given: Nothing) -> Outcome:
    instance = context.instance
    verified = auditing.check_now(
        instance.home,
        instance.database,
        instance.hierarchy,
        context.actor.name,
        lambda _phase, _done, _total: None,
    )
    if not verified.findings:
        said = f"All {verified.entries:,} entries hold, and {verified.heads:,} heads."
        return Outcome(said, _HEAD)
    report = Report(
        "What is not as it was written",
        ("Where", "What"),
        tuple((finding.where, finding.what) for finding in verified.findings),
    )
    said = f"{len(verified.findings)} differences were found. Find out who made them."
    return Outcome(said, _HEAD, report=report)


def _entries(tx: Connection, _context: Context) -> list[dict[str, Any]]:
    return [_entry(found) for found in log.entries(tx, _MOST_ENTRIES)]


def _one(tx: Connection, _context: Context, sys_id: str) -> Row | None:
    if not sys_id.isascii() or not sys_id.isdecimal() or len(sys_id) > _MOST_DIGITS:
        return None
    try:
        return _entry(log.entry(tx, int(sys_id)).as_json())
    except NotFound:
        return None


def _entry(found: dict[str, Any]) -> dict[str, Any]:
    """An entry as a row; what names it is its sequence."""
    return {
        "sys_id": str(found["sequence"]),
        **{name: found[name] for name in ("sequence", "at", "actor", "action", "subject")},
        "detail": json.dumps(found["detail"], ensure_ascii=False),
    }


def _heads(tx: Connection, context: Context) -> list[dict[str, Any]]:
    signer = auditing.signer(context.instance.hierarchy)
    return [
        {
            "sys_id": str(head.number),
            **{name: getattr(head, name) for name in _OF_HEAD},
        }
        for head in heads.listed(tx, signer, _MOST_HEADS)
    ]


LOG_TABLE: Final = Table(
    _LOG,
    "audit",
    "Audit Entry",
    "Audit Log",
    "What was done and by whom, newest first.",
    (
        Field("sequence", "Sequence", Kind.NUMBER),
        Field("at", "At", Kind.MOMENT),
        Field("actor", "Actor"),
        Field("action", "Action"),
        Field("subject", "Subject"),
        Field("detail", "Detail", Kind.LONG_TEXT, help="Ids, names and counts; never a value."),
    ),
    _entries,
    display="action",
    limit=_MOST_ENTRIES,
    by_id=_one,
    empty="The log is empty.",
)

HEAD_TABLE: Final = Table(
    _HEAD,
    "audit-heads",
    "Audit Head",
    "Audit Heads",
    "Signed statements of what the log and the tagged tables were at a moment, newest first.",
    (
        Field("number", "Number", Kind.NUMBER),
        Field("at", "Signed", Kind.MOMENT),
        Field("size", "Entries", Kind.NUMBER),
        Field("root", "Root of the log"),
        Field("state_root", "Root of the tables", in_list=False),
    ),
    _heads,
    display="number",
    limit=_MOST_HEADS,
    actions=(
        Operation("audit.verify", "Verify now",
                  "Check every entry, hash and head, and the tagged tables.", _verify),
    ),
    empty="No head was signed yet; a serving process signs one within a minute.",
)  # fmt: skip

TABLES: Final = (LOG_TABLE, HEAD_TABLE)
