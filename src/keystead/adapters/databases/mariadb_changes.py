"""Changes of tables that a transaction can take back, on a server that commits them by itself.

MariaDB ends the running transaction at every change of a table. So changes are made by a second
connection, and a journal, whose rows belong to the transaction, says what is to become of them:

- a table is created at once and journaled before; the transaction strikes that out as it commits
- renaming and dropping are journaled by the transaction and done once it is committed
- widening is done at once, before the table is written, and undone when that is taken back

Whoever begins a transaction holds the one lock, so what he finds in the journal was left by a
program that died: an uncommitted table is dropped, a committed change is done. Doing it twice does
no harm. A widened column that was left so holds the same values as text.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import ProgrammingError

from keystead.adapters.databases import mariadb_schema as schema
from keystead.adapters.databases.statements import quote

_JOURNAL: Final = "keystead_table_change"
_CREATE: Final = (
    f"CREATE TABLE IF NOT EXISTS {_JOURNAL} (id BIGINT AUTO_INCREMENT PRIMARY KEY,"
    f" kind VARCHAR(9) NOT NULL, name VARCHAR(64) COLLATE {schema.BINARY} NOT NULL,"
    f" other VARCHAR(64) COLLATE {schema.BINARY} NOT NULL)"
)
_NOTE: Final = f"INSERT INTO {_JOURNAL} (kind, name, other) VALUES (%s, %s, %s)"  # noqa: S608


class Changes:
    """The changes of tables of one transaction."""

    def __init__(self, engine: Engine, let_stand: Callable[[], None]) -> None:
        """`let_stand` lets the transaction's own connection wait for what is done beside it."""
        self._engine = engine
        self._let_stand = let_stand
        self._aside: Connection | None = None
        self._undo: list[Callable[[], None]] = []
        self._names: dict[str, str | None] = {}
        self._written: set[str] = set()
        self._has_journal = False

    def settle(self) -> None:
        """Do or take back what stands in the journal; the caller holds the lock."""
        try:
            query = f"SELECT id, kind, name, other FROM {_JOURNAL} ORDER BY id"  # noqa: S608
            left = self.aside(query).all()
        except ProgrammingError as error:
            if error.orig is None or error.orig.args[0] != schema.NO_SUCH_TABLE:
                raise
            return
        for number, kind, name, other in left:
            self._settle(kind, name, other)
            self.aside(f"DELETE FROM {_JOURNAL} WHERE id = {int(number)}")  # noqa: S608

    def note_writing(self, table: str) -> None:
        """The transaction has written rows of a table, which it alone can read."""
        self._written.add(table)

    def reader(self, tx: Connection, table: str) -> Connection:
        """What is to read a table: a reading transaction would keep the table from being altered.

        Each statement reads what is committed, here as there.
        """
        return tx if table in self._written else self._other()

    def actual(self, name: str) -> str:
        """The name under which the server has a table that this transaction renamed."""
        return self._names.get(name) or name

    def overlaid(self, names: list[str]) -> list[str]:
        """The tables there are, as this transaction sees them."""
        old = {actual for actual in self._names.values() if actual}
        away = {name for name, actual in self._names.items() if actual is None}
        new = [name for name, actual in self._names.items() if actual]
        return [name for name in names if name not in old | away] + new

    def aside(self, statement: str, values: tuple[str, ...] = ()) -> Any:
        """Carry out a statement that commits by itself."""
        return self._other().exec_driver_sql(statement, values)

    def _other(self) -> Connection:
        if self._aside is None:
            self._aside = self._engine.connect().execution_options(keystead_begin=())
        return self._aside

    def create_all(self, create: Callable[[Connection], None], names: list[str]) -> None:
        """Create several tables."""
        self._created(names)
        create(self._other())

    def create(self, name: str, statement: str) -> None:
        """Create a table."""
        self._created([name])
        self.aside(statement)

    def rename(self, tx: Connection, old: str, new: str) -> None:
        """Rename a table, once the transaction is committed."""
        actual = self.actual(old)
        self._later(tx, "rename", actual, new)
        self._names.pop(old, None)
        self._names[new] = actual

    def drop(self, tx: Connection, name: str) -> None:
        """Drop a table, once the transaction is committed."""
        actual = self.actual(name)
        self._later(tx, "drop", actual, "")
        self._names.pop(name, None)
        self._names[actual] = None

    def alter(self, table: str, statement: str, back: str) -> None:
        """Alter at once a table that the transaction has not written."""
        if table in self._written:
            raise RuntimeError("a table is altered before its rows are written")
        self._let_stand()
        self.aside(statement)
        self._undo.append(lambda: self.aside(back))

    def before_commit(self, tx: Connection) -> None:
        """Let what was created stay, if the transaction commits."""
        if self._has_journal:
            tx.exec_driver_sql(f"DELETE FROM {_JOURNAL} WHERE kind = 'create'")  # noqa: S608

    def end(self, *, committed: bool) -> None:
        """Do what waited for the commit, or undo what did not."""
        try:
            if committed:
                if self._names:
                    self.settle()
            else:
                for undo in reversed(self._undo):
                    undo()
        finally:
            if self._aside is not None:
                self._aside.close()

    def _created(self, names: list[str]) -> None:
        self._let_stand()
        self._have_journal()
        for name in names:
            self.aside(_NOTE, ("create", name, ""))
            self._undo.append(partial(self._take_back, name))

    def _take_back(self, name: str) -> None:
        self._settle("create", name, "")
        self.aside(f"DELETE FROM {_JOURNAL} WHERE kind = 'create' AND name = %s", (name,))  # noqa: S608

    def _have_journal(self) -> None:
        if not self._has_journal:
            self.aside(_CREATE)
            self._has_journal = True

    def _later(self, tx: Connection, kind: str, name: str, other: str) -> None:
        self._have_journal()
        tx.exec_driver_sql(_NOTE, (kind, name, other))

    def _settle(self, kind: str, name: str, other: str) -> None:
        self._let_stand()
        if kind == "rename":
            self.aside(f"RENAME TABLE IF EXISTS {quote(name)} TO {quote(other)}")
        else:
            self.aside(f"DROP TABLE IF EXISTS {quote(name)}")
