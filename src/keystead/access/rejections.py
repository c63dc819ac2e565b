"""What was refused: written after the transaction it was asked in has ended (`access.recorder`).

So a refusal stays on record although what it refused is taken back. The same caller, module and
operation is one row; only *last enforced* moves on.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import IntegrityError

from keystead.access.decision import Decision
from keystead.access.tables import REJECTIONS
from keystead.audit import log
from keystead.base import clock
from keystead.base.ids import new_id


class Refusals:
    """What was refused while one caller's request was worked on."""

    def __init__(self) -> None:
        self._decisions: dict[tuple[str, str, str], Decision] = {}
        self._searches: dict[tuple[str, str, str], None] = {}

    def note(self, decision: Decision) -> None:
        """Remember a decision that denied somebody; nobody at all is not remembered."""
        question = decision.question
        if question.subject.is_known:
            key = (question.subject.caller, question.module.sys_id, question.operation)
            self._decisions[key] = decision

    def note_search(self, caller: str, table: str, column: str) -> None:
        """Remember that a search by an encrypted column was refused; never what was looked for."""
        self._searches[caller, table, column] = None

    def add(self, others: Refusals) -> None:
        """Take in what was noted elsewhere."""
        self._decisions.update(others._decisions)
        self._searches.update(others._searches)

    def __bool__(self) -> bool:
        return bool(self._decisions or self._searches)

    def write(self, tx: Connection, actor: str) -> None:
        """Write everything down; `actor` is who passed the request on."""
        for decision in self._decisions.values():
            _write(tx, decision, actor)
        for caller, table, column in self._searches:
            log.record(tx, caller, "table.search.refuse", table, column=column, by=actor)


def rows(tx: Connection) -> list[dict[str, Any]]:
    """Every refusal as it is kept, the last enforced first."""
    newest = select(REJECTIONS).order_by(REJECTIONS.c.last_enforced.desc(), REJECTIONS.c.sys_id)
    return [row._asdict() for row in tx.execute(newest)]


def listed(tx: Connection) -> list[dict[str, Any]]:
    """The same as people are told of it: without ids, the module by its name."""
    columns = [column.name for column in REJECTIONS.columns]
    shown = {name: name for name in columns if name not in ("sys_id", "module_id")}
    shown["module_name"] = "module"
    return [{word: row[name] for name, word in shown.items()} for row in rows(tx)]


def _write(tx: Connection, decision: Decision, actor: str) -> None:
    question, moment = decision.question, clock.now()
    module, operation = question.module, question.operation
    caller = question.subject.caller
    if _enforced_again(tx, decision, moment):
        return
    try:
        with tx.begin_nested():
            tx.execute(
                insert(REJECTIONS).values(
                    sys_id=new_id(),
                    caller=caller,
                    module_id=module.sys_id,
                    module_name=module.name,
                    operation=operation,
                    result=decision.result,
                    decided_by=decision.decided_by,
                    first_enforced=moment,
                    last_enforced=moment,
                )
            )
    except IntegrityError:
        _enforced_again(tx, decision, moment)
        return
    log.record(
        tx,
        caller,
        "access.refuse",
        module.name,
        operation=operation,
        result=decision.result,
        decided_by=decision.decided_by,
        by=actor,
    )


def _enforced_again(tx: Connection, decision: Decision, moment: str) -> bool:
    question = decision.question
    same = (
        (REJECTIONS.c.caller == question.subject.caller)
        & (REJECTIONS.c.module_id == question.module.sys_id)
        & (REJECTIONS.c.operation == question.operation)
    )
    changed = update(REJECTIONS).where(same)
    written = tx.execute(
        changed.values(last_enforced=moment, result=decision.result, decided_by=decision.decided_by)
    )
    return bool(written.rowcount)
