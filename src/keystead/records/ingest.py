"""CSV and JSON lines files as typed rows: read once to check them whole, once more for the rows.

CSV is UTF-8, quoted as RFC 4180 has it, under a header. Blank lines are ignored, so a table of one
column writes an empty value as `""`. A field equal to the `null` token, quoted or not, is null.

JSON lines hold an object per line. The columns are all keys in the order they are first seen; a key
that an object lacks is null there. The `null` token is ignored.

Nothing is changed on the way: a CSV column is of integers only if each is written as `str` writes
it, and JSON values other than strings, integers and null are refused. Errors never quote values.
A value may take 16 MiB, a row 64 MiB, and there may be 2000 columns.
"""

from __future__ import annotations

import csv
import gzip
import json
import stat
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from io import BufferedReader, StringIO
from itertools import chain
from pathlib import Path
from typing import Any, Final, cast

from keystead.base.errors import Conflict, Invalid, NotFound
from keystead.database.model import Column, ColumnType, check_name
from keystead.database.port import Value

VALUE_LIMIT: Final = 16 * 2**20
RECORD_LIMIT: Final = 4 * VALUE_LIMIT  # memory stays flat even when a quote is never closed
_BATCH_ROWS, _BATCH_BYTES = 100, 2**20
_MOST_COLUMNS = 2000
_LEAST, _GREATEST = -(2**63), 2**63 - 1
_ODD = {bool: "true or false", float: "no 64-bit integer", list: "an array", dict: "an object"}
_CSV_REASONS = {
    "unexpected end of data": "a quote is opened and never closed",
    "',' expected after '\"'": "a quoted value goes on after its closing quote",
}


class Format(StrEnum):
    """How a file holds its rows."""

    CSV = "csv"
    JSONL = "jsonl"


_FORMATS = {".csv": Format.CSV, ".jsonl": Format.JSONL, ".ndjson": Format.JSONL}


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a whole file was found to hold; `null` is the token that means null in a CSV."""

    file: Path
    format: Format
    null: str | None
    columns: tuple[Column, ...]
    rows: int


def inspect(
    file: Path,
    *,
    format: Format | None = None,
    null: str | None = None,
    key: str | None = None,
    on_rows: Callable[[int], None] | None = None,
) -> Inspection:
    """Check the whole file, find its columns and count its rows.

    `key` names the column that must hold a different value, neither null nor empty, in every row.
    `on_rows` is told from time to time how many rows more are checked.

    Raises:
        NotFound: when there is no such file.
        Invalid: when the file cannot be read, or anything in it cannot be kept as it is.
    """
    form = format or _format_of(file)
    null = null if form is Format.CSV else None
    names: list[str] = []
    integer: dict[int, bool] = {}
    keys: set[str] = set()
    rows = 0
    for lines, block in _batches(file, form, null, names):
        for i in range(len(names)):
            if integer.get(i, True) and (given := _given([row[i] for row in block])):
                integer[i] = _integers(given, form) is not None
        if key is not None:
            if key not in names:
                raise Invalid("file.column", file=file, reason=f"there is no column '{key}'")
            at = names.index(key)
            _check_keys(
                file, key, ((n, row[at]) for n, row in zip(lines, block, strict=True)), keys
            )
        rows += len(lines)
        if on_rows:
            on_rows(len(lines))
    if not rows or not names:
        raise Invalid("file.empty", file=file)
    types = (ColumnType.INTEGER if integer.get(i) else ColumnType.TEXT for i in range(len(names)))
    found = (Column(name, kind, name != key) for name, kind in zip(names, types, strict=True))
    return Inspection(file, form, null, tuple(found), rows)


def read(inspection: Inspection) -> Iterator[tuple[Value, ...]]:
    """The rows of an inspected file, with the values in the order and types of its columns.

    Raises:
        NotFound, Invalid: as `inspect` does.
        Conflict: when the file is not as it was inspected; rows may have been given by then.
    """
    file, form = inspection.file, inspection.format
    expected = [column.name for column in inspection.columns]
    names = expected.copy() if form is Format.JSONL else []
    rows = 0
    for lines, block in _batches(file, form, inspection.null, names):
        if names != expected:
            raise Conflict("row.changed", what=file)
        for i, column in enumerate(inspection.columns):
            if column.type is ColumnType.INTEGER:
                _make_integers(inspection, i, block)
            elif form is Format.JSONL:
                _make_text(i, block)
        yield from map(tuple, block)
        rows += len(lines)
    if rows != inspection.rows:
        raise Conflict("row.changed", what=file)


def _format_of(file: Path) -> Format:
    suffix = Path(file.name.lower().removesuffix(".gz")).suffix
    if suffix not in _FORMATS:
        raise Invalid("file.format", file=file)
    return _FORMATS[suffix]


def _given(column: list[Value]) -> list[Value]:
    return [value for value in column if value is not None] if None in column else column


def _integers(given: list[Value], form: Format) -> list[int] | None:
    """The values as integers, if that loses nothing of any of them."""
    if form is Format.JSONL:
        return cast("list[int]", given) if {int}.issuperset(map(type, given)) else None
    try:
        numbers = list(map(int, cast("list[str]", given)))
    except ValueError:
        return None
    if numbers and (min(numbers) < _LEAST or max(numbers) > _GREATEST):
        return None
    return numbers if list(map(str, numbers)) == given else None


def _make_integers(inspection: Inspection, at: int, block: list[list[Value]]) -> None:
    given = [row for row in block if row[at] is not None]
    numbers = _integers([row[at] for row in given], inspection.format)
    if numbers is None:
        raise Conflict("row.changed", what=inspection.file)
    for row, number in zip(given, numbers, strict=True):
        row[at] = number


def _make_text(at: int, block: list[list[Value]]) -> None:
    for row in block:
        if isinstance(row[at], int):
            row[at] = str(row[at])


def _check_keys(file: Path, key: str, values: Iterable[tuple[int, Value]], seen: set[str]) -> None:
    for line, value in values:
        if value is None or value == "":
            reason = f"the key is {'null' if value is None else 'empty'}"
            raise _refused(file, line, reason, key)
        if str(value) in seen:
            raise _refused(file, line, "an earlier row has the same key", key)
        seen.add(str(value))


def _refused(file: Path, line: int, reason: str, column: str | None = None) -> Invalid:
    code = "file.row" if column is None else "file.value"
    return Invalid(code, file=file, line=line, column=column, reason=reason)


def _batches(
    file: Path, form: Format, null: str | None, names: list[str]
) -> Iterator[tuple[list[int], list[list[Value]]]]:
    """Some rows at a time, with their line numbers. New columns are added to `names`."""
    with _opened(file) as stream:
        lines = _Lines(file, stream, b"\0" if form is Format.CSV else b"\\u")
        rows = _csv_rows(lines, names) if form is Format.CSV else _json_rows(lines, names)
        numbers: list[int] = []
        block: list[list[Value]] = []
        for number, row in rows:
            numbers.append(number)
            block.append(row)
            if len(block) == _BATCH_ROWS or lines.taken > _BATCH_BYTES:
                yield numbers, _finished(block, null, len(names))
                numbers, block, lines.taken = [], [], 0
        if block:
            yield numbers, _finished(block, null, len(names))


def _finished(block: list[list[Value]], null: str | None, width: int) -> list[list[Value]]:
    if null is not None:
        return [[None if v == null else v for v in row] if null in row else row for row in block]
    for row in block:
        if len(row) < width:  # JSON objects before the one that brought a new key
            row.extend([None] * (width - len(row)))
    return block


@contextmanager
def _opened(file: Path) -> Iterator[BufferedReader]:
    """The file's bytes, unpacked when its name says so."""
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            raise Invalid("file.missing", file=file, reason="it is not a regular file")
        with file.open("rb") as raw:
            gzipped = file.name.lower().endswith(".gz")
            # GzipFile reads lines itself, but slowly
            yield BufferedReader(cast("Any", gzip.GzipFile(fileobj=raw))) if gzipped else raw
    except FileNotFoundError:
        raise NotFound("file.missing", file=file, reason="there is no such file") from None
    except EOFError:
        reason = "its gzip data ends too early"
        raise Invalid("file.missing", file=file, reason=reason) from None
    except (gzip.BadGzipFile, zlib.error):
        reason = "it is not gzip data, or is damaged"
        raise Invalid("file.missing", file=file, reason=reason) from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise Invalid("file.missing", file=file, reason=reason) from None


class _Lines:
    """A file's lines as text, and the record they are read for as far as it is read."""

    def __init__(self, file: Path, stream: BufferedReader, mark: bytes) -> None:
        self.file = file
        self.number = 0
        self.taken = 0  # bytes since the batch began
        self._stream = stream
        self._mark = mark
        self._record = bytearray()
        self.begin()

    def begin(self) -> None:
        """The next line begins a record."""
        self._record.clear()
        self.suspect = False  # whether it may hold a value that is refused
        self.too_large = False

    def __iter__(self) -> Iterator[str]:
        """They end where a record becomes too large, perhaps within a line."""
        record = self._record
        while not self.too_large and (raw := self._stream.readline(RECORD_LIMIT + 1 - len(record))):
            self.number += 1
            self.taken += len(raw)
            record += raw
            if self._mark in raw or len(record) > VALUE_LIMIT:
                self.suspect = True
                self.too_large = len(record) > RECORD_LIMIT
            yield self._decoded(raw)

    def _decoded(self, raw: bytes) -> str:
        bare = raw.removeprefix(b"\xef\xbb\xbf") if self.number == 1 else raw
        try:
            return bare.decode("utf-8", "replace" if self.too_large else "strict")
        except UnicodeDecodeError:
            raise _refused(self.file, self.number, "it is not UTF-8 text") from None

    def begun(self) -> list[str]:
        """The values of the CSV record as far as it is read."""
        text = StringIO(self._record.decode("utf-8", "replace"), newline="")
        return next(csv.reader(text), [])


def _learn(file: Path, names: list[str], name: str) -> None:
    """Add a column. Names that differ in case only are one name to many databases."""
    subject = f"the name of column {len(names) + 1}, {name[:60]!r},"
    try:
        check_name(name, "a column")
    except Invalid as error:
        reason = f"{subject} is not usable. {error.todo.rstrip('.')}"
        raise Invalid("file.column", file=file, reason=reason) from None
    if name.casefold() in map(str.casefold, names):
        reason = f"{subject} is there already, perhaps in other case"
        raise Invalid("file.column", file=file, reason=reason)
    if len(names) == _MOST_COLUMNS:
        raise Invalid("file.column", file=file, reason=f"it has more than {_MOST_COLUMNS} columns")
    names.append(name)


def _check(file: Path, line: int, names: Iterable[str], values: Iterable[Value]) -> None:
    """Refuse a value that could not be kept as it is."""
    for name, value in zip(names, values, strict=False):
        if reason := _unfit(value):
            raise _refused(file, line, reason, name)


def _unfit(value: object) -> str | None:
    if not isinstance(value, str):
        odd = _ODD.get(type(value))
        return odd and f"{odd} is not taken as a value: write it as a string"
    if "\0" in value:
        return "it holds a NUL character"
    try:
        return "it is larger than 16 MiB" if len(value.encode()) > VALUE_LIMIT else None
    except UnicodeEncodeError:
        return "it holds half of a surrogate pair, which is no character"


def _csv_rows(lines: _Lines, names: list[str]) -> Iterator[tuple[int, list[Value]]]:
    csv.field_size_limit(RECORD_LIMIT + 1)
    records = _csv_records(lines, names)
    _, header = next(records, (0, []))
    for name in header:
        _learn(lines.file, names, name)
    width = len(header)
    for line, fields in records:
        if len(fields) != width:
            raise _refused(lines.file, line, f"{width} fields expected, {len(fields)} found")
        if lines.suspect:
            _check(lines.file, line, names, fields)
        yield line, cast("list[Value]", fields)


def _csv_records(lines: _Lines, names: list[str]) -> Iterator[tuple[int, list[str]]]:
    """The records that are not blank lines, each with its first line."""
    texts = iter(lines)
    for text in texts:
        line, error = lines.number, ""
        bare = text.removesuffix("\n").removesuffix("\r")
        if '"' not in bare and "\r" not in bare:
            fields = bare.split(",") if bare else []  # several times faster than the csv module
        else:
            try:
                fields = next(csv.reader(chain((text,), texts), strict=True))
            except csv.Error as refusal:
                error = str(refusal)
        if lines.too_large:
            _check(lines.file, line, names, lines.begun())
            raise _refused(lines.file, line, "the row is larger than 64 MiB")
        if error:
            raise _refused(lines.file, line, _CSV_REASONS.get(error, error))
        if fields:
            yield line, fields
        lines.begin()


def _json_rows(lines: _Lines, names: list[str]) -> Iterator[tuple[int, list[Value]]]:
    known = set(names)
    plain = frozenset({str, int, type(None)})
    for text in lines:
        if lines.too_large:
            raise _refused(lines.file, lines.number, "the line is larger than 64 MiB")
        if text.strip(" \t\r\n"):
            row = _json_object(lines, text)
            if not known.issuperset(row):
                for name in row:
                    if name not in known:
                        _learn(lines.file, names, name)
                known.update(row)
            if lines.suspect or not plain.issuperset(map(type, row.values())):
                _check(lines.file, lines.number, row, row.values())
            yield lines.number, [*map(row.get, names)]
        lines.begin()


def _json_object(lines: _Lines, text: str) -> dict[str, Value]:
    try:
        row = _JSON.decode(text)
    except json.JSONDecodeError as error:
        reason = f"it is not JSON ({error.msg.rstrip(': ')}, at character {error.colno})"
        raise _refused(lines.file, lines.number, reason) from None
    except (ValueError, RecursionError) as error:
        raise _refused(lines.file, lines.number, str(error)) from None
    if not isinstance(row, dict):
        raise _refused(lines.file, lines.number, "it is not a JSON object")
    return row


def _json_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return members


def _json_integer(digits: str) -> int | float:
    """An integer that can be kept as it is; otherwise a float, which is refused by its column."""
    if len(digits) <= 20 and digits != "-0" and _LEAST <= int(digits) <= _GREATEST:
        return int(digits)
    return float(digits)


_JSON = json.JSONDecoder(object_pairs_hook=_json_members, parse_int=_json_integer)
