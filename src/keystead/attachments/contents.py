"""Content in and out of the database: bytes of any length as pieces, a few at a time.

Each batch is a transaction of its own, so that others write in between and nothing is held in
memory but a batch. Content is written under an id that nothing shows yet, and never changed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sqlalchemy import Connection, delete, func, insert, select

from keystead.attachments.tables import PIECES
from keystead.base.errors import Tampered
from keystead.database.port import Database

PIECE: Final = 256 * 1024
BATCH: Final = 8 * PIECE
# what else belongs to the transaction that writes a batch
Keep = Callable[[Connection], None]


class ContentWriter:
    """Writes content under a new id; `keep` raises when nobody wants it any more."""

    def __init__(self, database: Database, content_id: str, keep: Keep) -> None:
        self._database = database
        self._content_id = content_id
        self._keep = keep
        self._held = bytearray()
        self._position = 0

    def write(self, data: bytes, /) -> int:
        """Take the next bytes; how many there were."""
        self._held += data
        while len(self._held) >= BATCH:
            self._flush(BATCH)
        return len(data)

    def finish(self) -> None:
        """Write what is still held."""
        if self._held:
            self._flush(len(self._held))

    def _flush(self, size: int) -> None:
        with memoryview(self._held) as held:
            data = [bytes(held[at : min(at + PIECE, size)]) for at in range(0, size, PIECE)]
        rows = [
            {"content_id": self._content_id, "position": self._position + at, "data": piece}
            for at, piece in enumerate(data)
        ]
        with self._database.transaction() as tx:
            self._keep(tx)
            tx.execute(insert(PIECES), rows)
            self._database.trim(tx)
        self._position += len(rows)
        del self._held[:size]


class ContentReader:
    """Reads content in order; each batch is a snapshot of its own."""

    def __init__(self, database: Database, content_id: str) -> None:
        self._database = database
        self._content_id = content_id
        self._held = bytearray()
        self._position = 0
        self._ended = False

    def read(self, size: int, /) -> bytes:
        """The next `size` bytes; fewer only at the end.

        Raises:
            Tampered: where a piece is missing before the last.
        """
        while len(self._held) < size and not self._ended:
            self._fetch()
        found = bytes(self._held[:size])
        del self._held[: len(found)]
        return found

    def _fetch(self) -> None:
        wanted = BATCH // PIECE
        query = (
            select(PIECES.c.position, PIECES.c.data)
            .where(PIECES.c.content_id == self._content_id, PIECES.c.position >= self._position)
            .order_by(PIECES.c.position)
            .limit(wanted)
        )
        with self._database.snapshot() as tx:
            rows = tx.execute(query).all()
            self._database.trim(tx)
        for position, data in rows:
            if position != self._position or not isinstance(data, bytes):
                raise Tampered("attachment.sealed")
            self._held += data
            self._position += 1
        self._ended = len(rows) < wanted


def remove(database: Database, content_id: str) -> None:
    """Remove content that nothing refers to, in short transactions."""
    own = PIECES.c.content_id == content_id
    while True:
        with database.transaction() as tx:
            first = tx.execute(select(func.min(PIECES.c.position)).where(own)).scalar()
            if first is None:
                return
            until = int(first) + BATCH // PIECE
            tx.execute(delete(PIECES).where(own, PIECES.c.position < until))
            database.trim(tx)
