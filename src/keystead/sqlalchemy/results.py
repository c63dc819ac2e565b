"""Opening encrypted columns as rows are fetched, as many at a time as are fetched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy.engine import CursorResult
from sqlalchemy.engine.cursor import ResultFetchStrategy

from keystead.base.errors import Tampered
from keystead.crypto import envelope
from keystead.sqlalchemy.caller import Caller, Opener
from keystead.sqlalchemy.column import Encrypted, Opened, Unopened


def open_rows(result: CursorResult[Any], caller: Caller) -> None:
    """Let a result give what the caller may see, as things stand now."""
    compiled: Any = result.context.compiled
    if not result.returns_rows or compiled is None:
        return
    openers = {
        at: caller.opener(entry.type)
        for at, entry in enumerate(compiled._result_columns)
        if isinstance(entry.type, Encrypted)
    }
    if openers:
        result.cursor_strategy = _Opening(result.cursor_strategy, openers)


class _Opening(ResultFetchStrategy):
    """Fetches as another strategy does, and opens what it fetched."""

    __slots__ = ("_inner", "_openers")

    def __init__(self, inner: ResultFetchStrategy, openers: dict[int, Opener]) -> None:
        self._inner = inner
        self._openers = openers

    def soft_close(self, result: Any, dbapi_cursor: Any) -> None:
        self._inner.soft_close(result, dbapi_cursor)

    def hard_close(self, result: Any, dbapi_cursor: Any) -> None:
        self._inner.hard_close(result, dbapi_cursor)

    def yield_per(self, result: Any, dbapi_cursor: Any, num: int) -> None:
        self._inner.yield_per(result, dbapi_cursor, num)
        if result.cursor_strategy is not self:
            result.cursor_strategy = _Opening(result.cursor_strategy, self._openers)

    def fetchone(self, result: Any, dbapi_cursor: Any, hard_close: bool = False) -> Any:
        row = self._inner.fetchone(result, dbapi_cursor, hard_close)
        return None if row is None else self._opened([row])[0]

    def fetchmany(self, result: Any, dbapi_cursor: Any, size: int | None = None) -> Any:
        return self._opened(self._inner.fetchmany(result, dbapi_cursor, size))

    def fetchall(self, result: Any, dbapi_cursor: Any) -> Any:
        return self._opened(self._inner.fetchall(result, dbapi_cursor))

    def handle_exception(self, result: Any, dbapi_cursor: Any, err: BaseException) -> Any:
        self._inner.handle_exception(result, dbapi_cursor, err)

    def _opened(self, rows: Sequence[Any]) -> list[Any]:
        if not rows:
            return []
        columns: list[Sequence[Any]] = list(zip(*rows, strict=True))
        for at, opener in self._openers.items():
            columns[at] = _opened(opener, columns[at])
        return list(zip(*columns, strict=True))


def _opened(opener: Opener, cells: Sequence[Any]) -> list[Any]:
    parts = [_parts(cell.cell if isinstance(cell, Unopened) else cell) for cell in cells]
    # where an outer join found no row there is no key
    there = [at for at, (*key, _) in enumerate(parts) if None not in key]
    records = envelope.records([parts[at][:-1] for at in there])
    shown = opener.shown([parts[at][-1] for at in there], records)
    values: list[str | int | None] = [None] * len(parts)
    for at, value in zip(there, shown, strict=True):
        values[at] = value
    # what was looked at before does not come by the type again
    return [
        value if isinstance(cell, Unopened) else Opened(value)
        for value, cell in zip(values, cells, strict=True)
    ]


def _parts(cell: Any) -> list[Any]:
    try:
        parts = msgspec.json.decode(cell)
    except (msgspec.DecodeError, TypeError):
        raise Tampered("envelope.malformed") from None
    if not isinstance(parts, list) or len(parts) < 2:
        raise Tampered("envelope.malformed")
    return parts
