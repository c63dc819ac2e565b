"""What Keystead asks of a database beyond standard SQL; one contract suite for all adapters."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from sqlalchemy import Connection

from keystead.database.model import Table
from keystead.database.query import EVERY_ROW, Query

Value = str | int | None
Row = tuple[Value, ...]
IDLE_SECONDS: Final = 10


def change(key: Row, old: Row, new: Row) -> Row:
    """One change for `Database.compare_and_set`."""
    return (*new, *key, *old)


@dataclass(frozen=True, slots=True)
class ScrubReport:
    """What a scrub did, and where old copies of clear text may remain, in plain sentences."""

    done: tuple[str, ...]
    may_remain: tuple[str, ...]


class Database(Protocol):
    """A database that holds business tables and Keystead's own.

    `is_shared` says whether several homes, on several machines, may work on it.
    """

    is_shared: bool

    def transaction(self) -> AbstractContextManager[Connection]:
        """A write transaction; it is taken back whole when the block raises.

        Write transactions are serial: one begins when the one before has ended, and sees all that
        it wrote. What was read in one can therefore be relied on when it writes, as far as
        Keystead's own programs go; other programs are met by compare and set.

        On a server one that does nothing for `IDLE_SECONDS` is taken back, and its turn ends: its
        program may be frozen.

        Raises:
            Unavailable: when the turn does not come in time, or the database cannot be reached.
        """
        ...

    def snapshot(self) -> AbstractContextManager[Connection]:
        """A read transaction: all its queries see the rows of one point in time.

        On MariaDB the names of tables are those of now.
        """
        ...

    def create_own_tables(self, tx: Connection) -> None:
        """Create Keystead's tables in an empty database."""
        ...

    def table_names(self, tx: Connection) -> list[str]:
        """The business tables, in order of name; staging tables are not among them."""
        ...

    def reserved_names(self, tx: Connection) -> list[str]:
        """Tables that are neither business tables nor Keystead's own, though named like those."""
        ...

    def staging_names(self, tx: Connection) -> list[str]:
        """The tables in which a clone is being put together."""
        ...

    def describe(self, tx: Connection, table: str) -> Table:
        """Columns and constraints of a business table.

        Raises:
            NotFound: when there is none of that name.
        """
        ...

    def create_table(self, tx: Connection, table: Table) -> None:
        """Create a table with its columns and primary key."""
        ...

    def rename_table(self, tx: Connection, old: str, new: str) -> None:
        """Give a table another name."""
        ...

    def drop_table(self, tx: Connection, table: str) -> None:
        """Remove a table if it exists."""
        ...

    def insert(
        self, tx: Connection, table: str, columns: Sequence[str], rows: Iterable[Row]
    ) -> None:
        """Insert rows."""
        ...

    def widen(self, tx: Connection, table: Table, column: str) -> None:
        """Let a column hold text of any length; its values become their text form."""
        ...

    def page(
        self,
        tx: Connection,
        table: str,
        key: Sequence[str],
        columns: Sequence[str],
        after: Row | None,
        limit: int,
    ) -> list[Row]:
        """Up to `limit` rows as key values followed by `columns`, in key order, past `after`."""
        ...

    def select(
        self,
        tx: Connection,
        table: str,
        columns: Sequence[str],
        query: Query,
        limit: int,
        offset: int = 0,
    ) -> list[Row]:
        """Up to `limit` rows that meet a query, in its order, without the first `offset`.

        Raises:
            Invalid: for a value that cannot be compared with its column.
        """
        ...

    def update(
        self,
        tx: Connection,
        table: str,
        key: Sequence[str],
        row: Row,
        values: Mapping[str, Value],
    ) -> int:
        """Set columns of the one row whose key is exactly `row`; how many there were."""
        ...

    def delete(self, tx: Connection, table: str, key: Sequence[str], row: Row) -> int:
        """Remove the one row whose key is exactly `row`; how many there were."""
        ...

    def compare_and_set(
        self,
        tx: Connection,
        table: str,
        key: Sequence[str],
        columns: Sequence[str],
        changes: Sequence[Row],
    ) -> int:
        """Apply each change whose row still holds exactly the old values; how many applied.

        A change is one flat row: new values of `columns`, the key, the old values (`change`).
        Values are compared by bytes, and NULL equals NULL.
        """
        ...

    def count_rows(self, tx: Connection, table: str, query: Query = EVERY_ROW) -> int:
        """How many rows of a table meet a query.

        Raises:
            Invalid: for a value that cannot be compared with its column.
        """
        ...

    def count_by_prefix(
        self, tx: Connection, table: str, column: str, marker: str, length: int
    ) -> dict[str, int]:
        """How many values begin with each prefix of `length`, for those that begin with `marker`.

        The others are counted under `null`, `empty` and `plain`; clear text is never grouped.
        """
        ...

    def scrub(self, *tables: str) -> ScrubReport:
        """Clear what deleted and replaced values left behind in tables, or in Keystead's own.

        Raises:
            Unavailable: when another program holds a table, or may still read what was replaced.
        """
        ...

    def copy(self, scratch: Path, on_bytes: Callable[[int, int], None]) -> Generator[bytes]:
        """Everything as it is at one moment, in pieces; it is whole when they end without an error.

        Others may write meanwhile. A database that is a file is copied to `scratch` first, which
        is the caller's to remove; `on_bytes` is told how much of that is done, and of how much. A
        server's copy comes through a pipe and lies nowhere. Close the iterator.

        Raises:
            Unavailable: when there is no room, or a table was changed meanwhile.
            Misconfigured: when the server's own tools are missing or too old, or rights are.
        """
        ...

    def fill(self, copy: Iterator[bytes], scratch: Path) -> None:
        """Fill an empty database from the pieces that `copy` of the same engine gave.

        What raises while giving them keeps the database from being filled as far as the engine
        can take that back; what is left then is no whole database.

        Raises:
            Invalid: when the pieces are not of this engine, or not whole.
            Conflict: when the database is not empty.
            Misconfigured: when the server's own tools are missing or too old, or rights are.
        """
        ...

    def trim(self, tx: Connection) -> None:
        """Let go of memory in which the engine keeps what was read and written, for large rows."""
        ...

    def close(self) -> None:
        """Close every connection."""
        ...
