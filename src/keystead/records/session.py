"""One caller's work with one table: the only way in for whoever reads or writes records.

Who asks is made a `Subject`, what he may is decided in the transaction that reads or writes, and
each call leaves one entry in the audit log: a write in its own transaction, a read after it.
Refusals are noted even though what was refused is taken back (`access.recorder`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from keystead.access.permissions import Permissions, subject
from keystead.access.recorder import Recorder
from keystead.access.rejections import Refusals
from keystead.audit import log
from keystead.audit.entries import Detail
from keystead.base.errors import Conflict
from keystead.database.model import key_text
from keystead.database.port import Database, Row
from keystead.fields.opened import OpenedColumns
from keystead.keys.hierarchy import Hierarchy
from keystead.keys.usage import Meter, Use
from keystead.records.reading import View
from keystead.records.writing import Values, Writer


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: a user, or nobody; whom he impersonates; and who passes the request on."""

    user: str | None
    actor: str
    impersonate: str | None = None


class Writing:
    """One table as one caller may change it; each change is audited in its transaction."""

    def __init__(self, view: View, writer: Writer) -> None:
        self.view = view
        self._writer = writer
        self._done: list[tuple[str, Row, dict[str, str]]] = []

    def insert(self, values: Values) -> Row:
        """Write a new row; its primary key (`Writer.insert`)."""
        key = self._writer.insert(values)
        self._done.append(("record.insert", key, {"columns": ", ".join(values)}))
        return key

    def update(self, key: Row, values: Values) -> Row:
        """Change a row; its primary key afterwards (`Writer.update`)."""
        new = self._writer.update(key, values)
        self._done.append(("record.update", new, {"columns": ", ".join(values)}))
        return new

    def delete(self, key: Row) -> None:
        """Remove a row (`Writer.delete`)."""
        self._done.append(("record.delete", self._writer.delete(key), {}))

    def record(self, actor: str) -> None:
        """Write down what was done, and which encrypted columns were shown then."""
        view, used = self.view, _used(self.view)
        for action, key, detail in self._done:
            told = {"record": key_text(key), "by": actor, **detail, **used}
            log.record(view.tx, view.caller, action, view.table.name, **told)


class Records:
    """Business tables for callers; a process has one, for its leases of keys' use."""

    def __init__(self, database: Database, hierarchy: Hierarchy, recorder: Recorder) -> None:
        self._database = database
        self._hierarchy = hierarchy
        self._recorder = recorder
        self._meter = Meter(database, hierarchy)
        self._columns = OpenedColumns(hierarchy)

    @contextmanager
    def reading(self, caller: Caller, table: str) -> Iterator[View]:
        """A table as a caller may see it, at one point in time.

        Raises:
            NotFound: for a user or table that is not there.
            Unavailable: when what was shown cannot be put on record.
        """
        with self._recorder.refusals(caller.actor) as refusals:
            with self._database.snapshot() as tx:
                view = self._view(tx, caller, table, refusals)
                yield view
            if view.is_known:
                used = _used(view)
                detail: Detail = {"rows": view.shown, "by": caller.actor, **used}
                self._recorder.show(view.caller, "table.show", view.table.name, detail)

    @contextmanager
    def writing(self, caller: Caller, table: str) -> Iterator[Writing]:
        """A table as a caller may change it: all of the block, or nothing.

        Raises:
            NotFound: for a user or table that is not there.
            Conflict: when a constraint of the table forbids it.
        """
        with self._recorder.refusals(caller.actor) as refusals, Use(self._meter) as use:
            try:
                with self._database.transaction() as tx:
                    view = self._view(tx, caller, table, refusals)
                    writing = Writing(view, Writer(view, self._hierarchy, use))
                    yield writing
                    writing.record(caller.actor)
            except IntegrityError:  # a constraint that is checked at the end
                raise Conflict("record.refused", table=table) from None

    def _view(self, tx: Connection, caller: Caller, table: str, refusals: Refusals) -> View:
        integrity = self._hierarchy.integrity
        asking = subject(tx, integrity, caller.user, impersonate=caller.impersonate)
        permissions = Permissions(tx, integrity, asking, refusals)
        return View(tx, self._database, self._hierarchy, table, permissions, self._columns)


def _used(view: View) -> dict[str, str]:
    """The encrypted columns whose clear values were shown, or asked about."""
    used = {"opened": view.opened, "searched": view.searched}
    return {word: ", ".join(sorted(names)) for word, names in used.items() if names}
