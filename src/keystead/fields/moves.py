"""What a mass job moves: which values of a page, and their new forms.

Nothing is written here, so pages may be worked out in other processes than the one that writes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress
from types import NoneType
from typing import TypeGuard

from sqlalchemy import Connection

from keystead.base.errors import Tampered
from keystead.crypto import envelope
from keystead.crypto.envelope import PREFIX_LENGTH, Scheme
from keystead.database.port import Database, Row, Value
from keystead.fields import census, service
from keystead.fields.model import Configuration, Phase
from keystead.fields.values import EncryptedColumn
from keystead.jobs import service as jobs
from keystead.jobs.model import JobKind
from keystead.jobs.service import Job
from keystead.keys import service as keys
from keystead.keys.hierarchy import Hierarchy

Changes = tuple[list[Row], int]


@dataclass(frozen=True, slots=True)
class Move:
    """One column of a job: how to tell what is left, and how to move it."""

    column: EncryptedColumn
    key_id: str
    encrypts: bool

    def places(self, values: Sequence[Value]) -> Sequence[int]:
        """Where among a column's stored values those stand that are to be moved.

        Raises:
            Tampered: when there is a value that has no business in the column.
        """
        if not _are_text(values):
            raise self._tampered()
        prefixes = {value[:PREFIX_LENGTH] for value in values if value}
        plain = {prefix for prefix in prefixes if not envelope.is_marked(prefix)}
        if plain and self.column.configuration.phase is Phase.SEALED:
            raise self._tampered()
        new = self.column.cipher(self.key_id).prefix
        moved = plain if self.encrypts else prefixes - plain - {new}
        if moved == prefixes and all(values):
            return range(len(values))
        return [at for at, v in enumerate(values) if v and v[:PREFIX_LENGTH] in moved]

    def _tampered(self) -> Tampered:
        where = self.column.configuration
        return Tampered("value.tampered", table=where.table, column=where.column)

    def left(self, result: census.ColumnCensus) -> int:
        """How many values of a counted column are still to be moved."""
        if self.encrypts:
            return result.plain + result.unknown
        return result.encrypted - result.by_key.get(self.key_id, 0)


def _are_text(values: Sequence[Value]) -> TypeGuard[Sequence[str | None]]:
    return {str, NoneType}.issuperset(map(type, values))


def pinned_columns(tx: Connection, hierarchy: Hierarchy, job: Job) -> list[Configuration]:
    """The columns that a job moves, each to the key that it is pinned to.

    Raises:
        Tampered: when one of those keys is not the active one.
    """
    pinned: dict[str, str] = job["arguments"]["keys"]
    columns = service.configurations(tx, hierarchy, job["subject"])
    for column in columns:
        active = keys.active_key(tx, hierarchy, column.spec_id)["sys_id"]
        if pinned.get(column.sys_id, active) != active:
            raise Tampered("row.tampered", row=job["sys_id"], table="keystead_job")
    return [column for column in columns if column.sys_id in pinned]


def moves_of(tx: Connection, hierarchy: Hierarchy, job: Job) -> list[Move]:
    """How each column of a job is moved.

    Raises:
        Tampered: as `pinned_columns`.
    """
    pinned: dict[str, str] = job["arguments"]["keys"]
    encrypts = job["kind"] == JobKind.ENCRYPT
    return [
        Move(EncryptedColumn(tx, hierarchy, column), pinned[column.sys_id], encrypts)
        for column in pinned_columns(tx, hierarchy, job)
    ]


def counted_keys(moves: Sequence[Move]) -> Counter[str]:
    """The pinned keys that may encrypt only so many values, and how many columns each has."""
    return Counter(
        move.key_id for move in moves if move.column.configuration.scheme is Scheme.STANDARD
    )


def page_changes(
    database: Database, hierarchy: Hierarchy, job_id: str, rows: Sequence[Row], key_width: int
) -> Changes:
    """The changes for one page of a job, which another process has read.

    Raises:
        Tampered, NotFound: when a value that must move cannot be opened.
    """
    with database.snapshot() as tx:
        moves = moves_of(tx, hierarchy, jobs.get(tx, job_id))
    return changes(moves, rows, key_width)


def changes(moves: Sequence[Move], rows: Sequence[Row], key_width: int) -> Changes:
    """The changes for one page, each new value opened again and compared; and how many values."""
    columns = list(zip(*rows, strict=True))
    keys_of_rows, old = columns[:key_width], columns[key_width:]
    records = envelope.records(list(zip(*keys_of_rows, strict=True)))
    new: list[Sequence[Value]] = list(old)
    moved = 0
    touched = bytearray(len(rows))
    for at, move in enumerate(moves):
        places = move.places(old[at])
        moved += len(places)
        if len(places) == len(rows):
            new[at] = _moved(move, old[at], records)
            touched = bytearray(b"\1" * len(rows))
        elif places:
            column = list(old[at])
            picked = [column[place] for place in places]
            sealed = _moved(move, picked, [records[place] for place in places])
            for place, value in zip(places, sealed, strict=True):
                column[place] = value
                touched[place] = True
            new[at] = column
    changed = zip(*new, *keys_of_rows, *old, strict=True)
    return list(compress(changed, touched)), moved


def _moved(move: Move, stored: Sequence[Value], records: Sequence[bytes]) -> list[str]:
    """New forms of stored values, each opened again and compared."""
    opened = stored if move.encrypts else move.column.open_many(stored, records)
    clear = list(map(str, opened))
    cipher = move.column.cipher(move.key_id)
    sealed = cipher.seal_many(clear, records)
    if cipher.open_many(envelope.bodies(sealed), records) != clear:
        where = move.column.configuration
        raise Tampered("value.tampered", table=where.table, column=where.column)
    return sealed
