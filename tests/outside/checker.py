"""An outside checker: reads encrypted values from the format document alone.

Written from ``docs/formats/envelope.md`` and nothing else; the clause numbers below are that
document's. It decodes every value of the encrypted columns with keys from an explicit export,
compares the rows with the CSV they came from, and searches every file of the given homes for clear
values and for key bytes. Clear values and keys are never printed.

Compressed files in a home are searched as they lie there; they are not unpacked.
"""

from __future__ import annotations

import argparse
import base64
import csv
import gzip
import hashlib
import json
import os
import re
import sqlite3
import struct
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple, TextIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

STANDARD = "s"
EQUALITY = "e"
MARKER = "~ks1"
ENVELOPE = re.compile(r"~ks1([se])\.([A-Za-z0-9_-]{22})\.([A-Za-z0-9_-]{22,})~")
BASE64URL = re.compile(r"[A-Za-z0-9_-]*")
# Which last characters leave no unused bit set, by the length of the text modulo 4 (clause 1.3).
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
LAST_CHARACTERS = tuple(map(frozenset, (ALPHABET, "", "AQgw", ALPHABET[::4])))
ESCAPED = re.compile(r"\\u[0-9a-f]{4}")

KEY_BYTES = 32
NONCE_BYTES = 12
TAG_BYTES = 16
EQUALITY_KEY_BYTES = 64

WINDOW = 6  # every needle is at least this long
WINDOWS_AT_ONCE = 4096
BLOCK = WINDOW * WINDOWS_AT_ONCE
CHUNK = 64 * BLOCK
CLUE_CHARACTERS = 128  # a longer value is sought by its beginning; pages may part the rest
LISTED = 200

Cell = int | float | str | bytes | None


class CheckError(Exception):
    """The check could not be carried out at all."""


class UnreadableError(Exception):
    """A marked value that does not open; its only argument is the reason."""

    @property
    def reason(self) -> str:
        """Why: form, key, record, authentication, text or empty."""
        return str(self.args[0])


# --- the format -----------------------------------------------------------------------------


class Envelope(NamedTuple):
    """The parts of an encrypted value (clause 1)."""

    scheme: str
    key_id: bytes
    body: bytes


def strict_base64url(text: str) -> bytes:
    """Decode base64url without padding; unused low bits must be zero (clause 1.3)."""
    rest = len(text) % 4
    if not BASE64URL.fullmatch(text) or text[-1:] not in LAST_CHARACTERS[rest]:
        raise UnreadableError("form")
    return base64.urlsafe_b64decode(text + "=" * (-rest % 4))


@lru_cache(maxsize=1024)
def strict_key_id(text: str) -> bytes:
    """Decode the key id of an envelope, which very many values share (clauses 1, 2)."""
    return strict_base64url(text)


def parse_envelope(text: str) -> Envelope:
    """Take a value apart; anything not exactly in the form is an error (clauses 1, 1.3)."""
    found = ENVELOPE.fullmatch(text)
    if found is None:
        raise UnreadableError("form")
    scheme, key_id, body = found.groups()
    envelope = Envelope(scheme, strict_key_id(key_id), strict_base64url(body))
    if scheme == STANDARD and len(envelope.body) < NONCE_BYTES + TAG_BYTES:
        raise UnreadableError("form")
    return envelope


def lp(data: bytes) -> bytes:
    """Give ``lp(x)`` of the document's introduction."""
    return struct.pack(">I", len(data)) + data


def text_bytes(text: str) -> bytes:
    """Encode text as UTF-8; bytes the database held outside UTF-8 come back as they were."""
    return text.encode("utf-8", "surrogateescape")


def context_of(scheme: str, key_id: bytes, table: str, column: str) -> bytes:
    """Build the context (clause 4.1)."""
    return b"KS1" + scheme.encode() + key_id + lp(text_bytes(table)) + lp(text_bytes(column))


def record_of(key: Cell) -> bytes | None:
    """Build the record of a row with one key column (clause 4.2); None where it has no form."""
    if isinstance(key, int):
        return b"\x01i" + lp(str(key).encode())
    if isinstance(key, str):
        return b"\x01t" + lp(text_bytes(key))
    return None


class Opener:
    """Opens envelopes of one table with exported module keys (clauses 4 to 6)."""

    def __init__(self, keys: Mapping[bytes, bytes], table: str) -> None:
        self._keys = keys
        self._table = table
        self._standard: dict[tuple[bytes, str], tuple[AESGCM, bytes]] = {}
        self._equality: dict[tuple[bytes, str], tuple[AESSIV, bytes]] = {}

    def open(self, envelope: Envelope, column: str, record: bytes | None) -> str:
        """Give the plain text (clause 3) or raise UnreadableError.

        An empty plain text is an error as well: an empty string stays empty (clause 7.1).
        """
        if envelope.key_id not in self._keys:
            raise UnreadableError("key")
        try:
            if envelope.scheme == STANDARD:
                plain = self._open_standard(envelope, column, record)
            else:
                plain = self._open_equality(envelope, column)
        except InvalidTag as error:
            raise UnreadableError("authentication") from error
        if not plain:
            raise UnreadableError("empty")
        try:
            return plain.decode("utf-8")
        except UnicodeDecodeError as error:
            raise UnreadableError("text") from error

    def _open_standard(self, envelope: Envelope, column: str, record: bytes | None) -> bytes:
        """AES-256-GCM under the module key, bound to context and record (clause 5)."""
        if record is None:
            raise UnreadableError("record")
        place = (envelope.key_id, column)
        if place not in self._standard:
            context = context_of(STANDARD, envelope.key_id, self._table, column)
            self._standard[place] = AESGCM(self._keys[envelope.key_id]), context
        cipher, context = self._standard[place]
        nonce, sealed = envelope.body[:NONCE_BYTES], envelope.body[NONCE_BYTES:]
        return cipher.decrypt(nonce, sealed, context + record)

    def _open_equality(self, envelope: Envelope, column: str) -> bytes:
        """AES-SIV under the column key, bound to the context (clause 6)."""
        place = (envelope.key_id, column)
        if place not in self._equality:
            context = context_of(EQUALITY, envelope.key_id, self._table, column)
            key = equality_key(self._keys[envelope.key_id], self._table, column)
            self._equality[place] = AESSIV(key), context
        cipher, context = self._equality[place]
        return cipher.decrypt(envelope.body, [context])


def equality_key(module_key: bytes, table: str, column: str) -> bytes:
    """Derive the column key (clause 6)."""
    info = b"keystead/1/equality" + lp(text_bytes(table)) + lp(text_bytes(column))
    return HKDF(SHA256(), EQUALITY_KEY_BYTES, salt=None, info=info).derive(module_key)


def read_keys(path: Path) -> dict[bytes, bytes]:
    """Read an explicit export of module keys; a key id is 16 bytes (clause 2)."""
    keys: dict[bytes, bytes] = {}
    try:
        entries = json.loads(path.read_text("utf-8"))["keys"]
        pairs = [(bytes.fromhex(e["key_id"]), bytes.fromhex(e["key"])) for e in entries]
    except (ValueError, KeyError, TypeError) as error:
        raise CheckError("the key export does not have the expected form") from error
    for key_id, key in pairs:
        if len(key_id) != 16 or len(key) != KEY_BYTES:
            raise CheckError("a key id or a key in the export has the wrong length")
        if keys.setdefault(key_id, key) != key:
            raise CheckError(f"the export holds two different keys under the id {key_id.hex()}")
    return keys


# --- the values of a table ------------------------------------------------------------------


def digest(text: str) -> bytes:
    """Stand in for a long text where only equality matters."""
    return hashlib.blake2b(text_bytes(text), digest_size=16).digest()


def row_digest(row: tuple[str | None, ...]) -> bytes:
    """Stand in for a row; None marks a value that could not be read and equals no text."""
    return digest(repr(row))


@dataclass
class ValueCounts:
    """What was found in the encrypted columns; every value counted falls in exactly one class."""

    values_total: int = 0
    values_opened: int = 0
    plaintext_left: int = 0
    unreadable: int = 0
    wrong_scheme: int = 0
    unreadable_reasons: Counter[str] = field(default_factory=Counter)
    values_by_key: Counter[str] = field(default_factory=Counter)


@dataclass
class EnvelopeCounts:
    """What clauses 5 and 6 promise about envelopes as they compare with one another."""

    envelopes_repeated: int = 0
    nonces_repeated: int = 0
    equality_split: int = 0
    _envelopes: set[bytes] = field(default_factory=set)
    _nonces: set[bytes] = field(default_factory=set)
    _equality: dict[tuple[str, bytes, bytes], bytes] = field(default_factory=dict)

    def note_standard(self, text: str, envelope: Envelope) -> None:
        """Equal values give unequal envelopes, from a fresh nonce each (clause 5)."""
        seen = digest(text)
        nonce = envelope.key_id + envelope.body[:NONCE_BYTES]
        self.envelopes_repeated += seen in self._envelopes
        self.nonces_repeated += nonce in self._nonces
        self._envelopes.add(seen)
        self._nonces.add(nonce)

    def note_equality(self, column: str, text: str, envelope: Envelope, plain: str) -> None:
        """Equal values of a column give equal envelopes under one key (clause 6)."""
        place = (column, envelope.key_id, digest(plain))
        sealed = digest(text)
        self.equality_split += self._equality.setdefault(place, sealed) != sealed


class ValueReader:
    """Reads the values of encrypted columns and counts what it meets."""

    def __init__(self, opener: Opener, schemes: Mapping[str, str]) -> None:
        self._opener = opener
        self._schemes = schemes
        self.counts = ValueCounts()
        self.envelopes = EnvelopeCounts()

    def read(self, column: str, value: Cell, record: bytes | None) -> Cell:
        """Give the plain value, or a blob where the value cannot be read.

        NULL and the empty string are stored plainly (clause 7.1). Any other unmarked value is
        plain text left behind (clauses 1.4, 7.4).
        """
        if value is None or value == "":
            return value
        self.counts.values_total += 1
        if not isinstance(value, str) or not value.startswith(MARKER):
            self.counts.plaintext_left += 1
            return value
        try:
            return self._read_marked(column, value, record)
        except UnreadableError as error:
            self.counts.unreadable += 1
            self.counts.unreadable_reasons[error.reason] += 1
            return b""

    def _read_marked(self, column: str, value: str, record: bytes | None) -> Cell:
        envelope = parse_envelope(value)
        self.counts.values_by_key[envelope.key_id.hex()] += 1
        if envelope.scheme == STANDARD:
            self.envelopes.note_standard(value, envelope)
        if envelope.scheme != self._schemes[column]:
            self.counts.wrong_scheme += 1
            return b""
        plain = self._opener.open(envelope, column, record)
        if envelope.scheme == EQUALITY:
            self.envelopes.note_equality(column, value, envelope, plain)
        self.counts.values_opened += 1
        return plain


def as_text(value: Cell, null: str) -> str | None:
    """Give a value as the CSV would show it; a blob, or a value not read, has no such form."""
    if value is None:
        return null
    if isinstance(value, bytes):
        return None
    return str(value)


def quoted(name: str) -> str:
    """Quote an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def require_columns(connection: sqlite3.Connection, table: str, columns: Iterable[str]) -> None:
    """Refuse unknown names, which SQLite would otherwise take for string literals."""
    present = {row[1] for row in connection.execute(f"PRAGMA table_info({quoted(table)})")}
    if not present:
        raise CheckError(f"the database has no table {table}")
    if absent := sorted(set(columns) - present):
        raise CheckError(f"the table {table} has no column {', '.join(absent)}")


def database_rows(
    database: Path, table: str, key: str, columns: Sequence[str]
) -> Iterator[tuple[Cell, tuple[Cell, ...]]]:
    """Give the key and the chosen columns of every row, from one read-only statement."""
    if not database.is_file():
        raise CheckError("the database file does not exist")
    uri = database.resolve().as_uri() + "?mode=ro"
    with closing(sqlite3.connect(uri, uri=True)) as connection:
        connection.text_factory = partial(str, encoding="utf-8", errors="surrogateescape")
        require_columns(connection, table, [key, *columns])
        chosen = ", ".join(quoted(name) for name in [key, *columns])
        for row in connection.execute(f"SELECT {chosen} FROM {quoted(table)}"):
            yield row[0], row[1:]


def decoded_rows(
    rows: Iterable[tuple[Cell, tuple[Cell, ...]]],
    columns: Sequence[str],
    compared: int,
    reader: ValueReader,
    schemes: Mapping[str, str],
    null: str,
) -> Counter[bytes]:
    """Decode every row and count the digests of its first ``compared`` columns."""
    counted: Counter[bytes] = Counter()
    encrypted = [(place, name) for place, name in enumerate(columns) if name in schemes]
    for key, stored in rows:
        record = record_of(key)
        values = list(stored)
        for place, name in encrypted:
            values[place] = reader.read(name, values[place], record)
        shown = [v if isinstance(v, str) else as_text(v, null) for v in values[:compared]]
        counted[row_digest(tuple(shown))] += 1
    return counted


# --- the original ---------------------------------------------------------------------------


def open_csv(path: Path) -> TextIO:
    """Open a CSV file, compressed or not."""
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def csv_header(path: Path) -> list[str]:
    """Read the column names of the original."""
    with open_csv(path) as source:
        header = next(csv.reader(source), [])
    if not header or len(set(header)) != len(header):
        raise CheckError("the CSV has no header or names a column twice")
    return header


def csv_rows(path: Path) -> Iterator[list[str]]:
    """Read the rows of the original; every row is as wide as the header."""
    csv.field_size_limit(2**31 - 1)
    with open_csv(path) as source:
        lines = csv.reader(source)
        width = len(next(lines, []))
        for row in lines:
            if not row:
                continue
            if len(row) != width:
                raise CheckError(
                    f"the CSV row that ends in line {lines.line_num} has a wrong width"
                )
            yield row


@dataclass
class Original:
    """What the CSV says: its rows and the clear values worth seeking, with their columns."""

    rows: Counter[bytes] = field(default_factory=Counter)
    clues: dict[str, str] = field(default_factory=dict)


def read_original(path: Path, schemes: Iterable[str], null: str | None) -> Original:
    """Count the rows and collect the distinct clear values of the encrypted columns."""
    header = csv_header(path)
    places = [(header.index(name), name) for name in schemes if name in header]
    original = Original()
    for row in csv_rows(path):
        original.rows[row_digest(tuple(row))] += 1
        for place, name in places:
            value = row[place]
            if value != null:
                original.clues.setdefault(value[:CLUE_CHARACTERS], name)
    original.clues = {clue: name for clue, name in original.clues.items() if is_telling(clue)}
    return original


def is_telling(value: str) -> bool:
    """Leave out what ids and base64 could contain by chance."""
    if len(value) < WINDOW:
        return False
    if value.isascii() and value.isdigit():
        return len(value) >= 9
    return len(value) >= 8 or not BASE64URL.fullmatch(value)


def plain_texts(path: Path, schemes: Iterable[str], table: str) -> Iterator[str]:
    """Give what is rightly in clear: the names, and the values of the unencrypted columns."""
    header = csv_header(path)
    encrypted = set(schemes)
    places = [place for place, name in enumerate(header) if name not in encrypted]
    yield from [table, *header]
    seen: set[str] = set()
    for row in csv_rows(path):
        for place in places:
            value = row[place]
            if len(value) >= WINDOW and value not in seen:
                seen.add(value)
                yield value
        if len(seen) > 500_000:
            seen.clear()


def strike_out(clues: Mapping[str, str], texts: Iterable[str]) -> dict[str, str]:
    """Drop every clue that occurs inside a text that is rightly in clear."""
    needles = Needles(clue.encode() for clue in clues)
    struck: set[bytes] = set()
    batch = bytearray()
    for text in texts:
        batch += text.encode() + b"\xff"  # a byte that UTF-8 never uses parts the texts
        if len(batch) >= CHUNK:
            struck.update(found for _, found in needles.matches(bytes(batch), len(batch)))
            batch.clear()
    struck.update(found for _, found in needles.matches(bytes(batch), len(batch)))
    return {clue: name for clue, name in clues.items() if clue.encode() not in struck}


# --- the search -----------------------------------------------------------------------------


class Needle(NamedTuple):
    """What a sought byte string stands for, without saying it."""

    kind: str  # value or key
    form: str
    source: str  # the column of a value, the id of a key
    length: int  # characters of a value, bytes of a key


class Finding(NamedTuple):
    """Where something sought was found."""

    file: str
    offset: int
    kind: str
    form: str
    source: str
    length: int


class Needles:
    """Seeks very many byte strings at once.

    The first bytes of every needle are held as a set of windows. A stretch of data is cut into
    windows once for each alignment, and only a stretch that shares a window is looked at closely.
    """

    def __init__(self, needles: Iterable[bytes]) -> None:
        self._needles = frozenset(needles)
        lengths: dict[bytes, set[int]] = {}
        for needle in self._needles:
            if len(needle) < WINDOW:
                raise ValueError("a needle is shorter than the window")
            lengths.setdefault(needle[:WINDOW], set()).add(len(needle))
        self._lengths = {window: sorted(sizes) for window, sizes in lengths.items()}
        self._windows = frozenset(lengths)
        self._cut = struct.Struct(f"{WINDOW}s" * WINDOWS_AT_ONCE)
        self.longest = max(map(len, self._needles), default=0)

    def matches(self, data: bytes, starts: int) -> Iterator[tuple[int, bytes]]:
        """Give every needle that begins before ``starts``, with its offset."""
        if not self._needles:
            return
        padded = data + bytes(BLOCK + WINDOW)
        for begin in range(0, starts, BLOCK):
            for shift in range(WINDOW):
                windows = self._cut.unpack_from(padded, begin + shift)
                if shared := self._windows.intersection(windows):
                    places = [at for at, window in enumerate(windows) if window in shared]
                    offsets = (begin + shift + at * WINDOW for at in places)
                    yield from self._confirmed(data, starts, offsets)

    def _confirmed(
        self, data: bytes, starts: int, offsets: Iterable[int]
    ) -> Iterator[tuple[int, bytes]]:
        for offset in offsets:
            if offset >= starts:
                return
            for length in self._lengths.get(data[offset : offset + WINDOW], ()):
                candidate = data[offset : offset + length]
                if candidate in self._needles:
                    yield offset, candidate


def value_forms(value: str) -> Iterator[tuple[str, bytes]]:
    """Give the byte strings under which a clear value could lie in a file."""
    yield "utf-8", value.encode()
    escaped = json.dumps(value)[1:-1]
    yield "json", escaped.encode()
    yield "json", ESCAPED.sub(lambda found: "\\u" + found[0][2:].upper(), escaped).encode()
    yield "json", json.dumps(value, ensure_ascii=False)[1:-1].encode()


def key_forms(key: bytes) -> Iterator[tuple[str, bytes]]:
    """Give the byte strings under which a key of its own could lie in a file."""
    yield "raw", key
    yield "hex", key.hex().encode()
    yield "hex", key.hex().upper().encode()
    yield "base64", base64.b64encode(key).rstrip(b"=")
    yield "base64url", base64.urlsafe_b64encode(key).rstrip(b"=")


def sought(clues: Mapping[str, str], keys: Mapping[bytes, bytes]) -> dict[bytes, Needle]:
    """Collect everything to be sought in the homes."""
    needles: dict[bytes, Needle] = {}
    for key_id, key in keys.items():
        for form, data in key_forms(key):
            needles.setdefault(data, Needle("key", form, key_id.hex(), len(key)))
    for clue, column in clues.items():
        for form, data in value_forms(clue):
            needles.setdefault(data, Needle("value", form, column, len(clue)))
    return needles


def search_file(path: Path, needles: Needles) -> Iterator[tuple[int, bytes]]:
    """Search one file in pieces that overlap, so that each offset is looked at once."""
    overlap = max(needles.longest - 1, 0)
    offset, data = 0, b""
    with path.open("rb") as source:
        while piece := source.read(CHUNK):
            data += piece
            starts = max(len(data) - overlap, 0)
            for place, found in needles.matches(data, starts):
                yield offset + place, found
            offset, data = offset + starts, data[starts:]
    for place, found in needles.matches(data, len(data)):
        yield offset + place, found


@dataclass
class SearchCounts:
    """What the search of the homes met."""

    values_sought: int = 0
    keys_sought: int = 0
    files_searched: int = 0
    bytes_searched: int = 0
    files_unreadable: int = 0
    findings_values: int = 0
    findings_keys: int = 0
    listed: list[Finding] = field(default_factory=list)

    def note(self, path: Path, offset: int, needle: Needle) -> None:
        """Count a finding, and list it while the list is short."""
        if needle.kind == "key":
            self.findings_keys += 1
        else:
            self.findings_values += 1
        if len(self.listed) < LISTED:
            self.listed.append(Finding(str(path), offset, *needle))


def home_files(homes: Iterable[Path], unreadable: list[OSError]) -> list[Path]:
    """Give every regular file under the homes, once."""
    files: dict[Path, Path] = {}
    for home in homes:
        if not home.is_dir():
            raise CheckError(f"the home {home} is not a directory")
        for folder, _, names in os.walk(home, onerror=unreadable.append):
            paths = (Path(folder, name) for name in names)
            files.update((path.resolve(), path) for path in paths if path.is_file())
    return sorted(files.values())


def search_homes(homes: Iterable[Path], named: Mapping[bytes, Needle]) -> SearchCounts:
    """Search every file of the homes; a file that went away meanwhile is passed over."""
    counts = SearchCounts()
    unreadable: list[OSError] = []
    needles = Needles(named)
    for path in home_files(homes, unreadable):
        try:
            size = path.stat().st_size
            for offset, found in search_file(path, needles):
                counts.note(path, offset, named[found])
        except FileNotFoundError:
            continue
        except OSError as error:
            unreadable.append(error)
            continue
        counts.files_searched += 1
        counts.bytes_searched += size
    counts.files_unreadable = len(unreadable)
    return counts


# --- the whole check ------------------------------------------------------------------------


@dataclass
class Report:
    """Every counter of a check."""

    values: ValueCounts
    envelopes: EnvelopeCounts
    rows_csv: int
    rows_database: int
    rows_missing: int
    rows_extra: int
    search: SearchCounts

    def faults(self) -> dict[str, int]:
        """Give the counters that have to be zero."""
        return {
            "plaintext_left": self.values.plaintext_left,
            "unreadable": self.values.unreadable,
            "wrong_scheme": self.values.wrong_scheme,
            "envelopes_repeated": self.envelopes.envelopes_repeated,
            "nonces_repeated": self.envelopes.nonces_repeated,
            "equality_split": self.envelopes.equality_split,
            "rows_missing": self.rows_missing,
            "rows_extra": self.rows_extra,
            "files_unreadable": self.search.files_unreadable,
            "findings_values": self.search.findings_values,
            "findings_keys": self.search.findings_keys,
        }

    def agrees(self) -> bool:
        """Tell whether nothing at all is wrong."""
        return not any(self.faults().values())

    def as_dict(self) -> dict[str, object]:
        """Give the report as JSON would have it."""
        return {
            "agrees": self.agrees(),
            "values_total": self.values.values_total,
            "values_opened": self.values.values_opened,
            "values_by_key": dict(sorted(self.values.values_by_key.items())),
            "rows_csv": self.rows_csv,
            "rows_database": self.rows_database,
            **self.faults(),
            "unreadable_reasons": dict(self.values.unreadable_reasons),
            "values_sought": self.search.values_sought,
            "keys_sought": self.search.keys_sought,
            "files_searched": self.search.files_searched,
            "bytes_searched": self.search.bytes_searched,
            "findings": [found._asdict() for found in self.search.listed],
        }

    def lines(self) -> Iterator[str]:
        """Give the report for a reader."""
        yield "agrees" if self.agrees() else "DOES NOT AGREE"
        yield (
            f"values: {self.values.values_total} stored, {self.values.values_opened} opened; "
            f"rows: {self.rows_csv} in the CSV, {self.rows_database} in the database"
        )
        for key_id, count in sorted(self.values.values_by_key.items()):
            yield f"  key {key_id}: {count} values"
        yield (
            f"search: {self.search.values_sought} values and {self.search.keys_sought} keys in "
            f"{self.search.files_searched} files, {self.search.bytes_searched} bytes"
        )
        for name, count in self.faults().items():
            if count:
                yield f"{name}: {count}"
        for reason, count in sorted(self.values.unreadable_reasons.items()):
            yield f"  unreadable for {reason}: {count}"
        for found in self.search.listed:
            yield (
                f"  {found.file} at {found.offset}: {found.kind} of {found.source}, "
                f"length {found.length}, as {found.form}"
            )


@dataclass(frozen=True)
class Request:
    """What to check against what."""

    database: Path
    table: str
    csv: Path
    schemes: Mapping[str, str]
    keys: Path
    homes: Sequence[Path]
    key: str
    null: str | None


def check(request: Request) -> Report:
    """Carry out the whole check."""
    keys = read_keys(request.keys)
    header = csv_header(request.csv)
    if request.key in request.schemes:
        raise CheckError("the primary key column cannot be an encrypted column")
    columns = [*header, *(name for name in request.schemes if name not in header)]
    original = read_original(request.csv, request.schemes, request.null)
    reader = ValueReader(Opener(keys, request.table), request.schemes)
    stored = decoded_rows(
        database_rows(request.database, request.table, request.key, columns),
        columns,
        len(header),
        reader,
        request.schemes,
        request.null or "",
    )
    texts = plain_texts(request.csv, request.schemes, request.table)
    clues = strike_out(original.clues, texts)
    search = search_homes(request.homes, sought(clues, keys))
    search.values_sought, search.keys_sought = len(clues), len(keys)
    return Report(
        values=reader.counts,
        envelopes=reader.envelopes,
        rows_csv=original.rows.total(),
        rows_database=stored.total(),
        rows_missing=(original.rows - stored).total(),
        rows_extra=(stored - original.rows).total(),
        search=search,
    )


def column_names(text: str) -> list[str]:
    """Read a list of column names parted by commas."""
    return [name for part in text.split(",") if (name := part.strip())]


def read_request(arguments: Sequence[str] | None) -> tuple[Request, bool]:
    """Read the command line: the request, and whether the report is wanted as JSON."""
    parser = argparse.ArgumentParser(description="Check an encrypted table from the outside.")
    parser.add_argument("--database", type=Path, required=True, help="the SQLite database")
    parser.add_argument("--table", required=True)
    parser.add_argument("--csv", type=Path, required=True, help="the original, may end in .gz")
    parser.add_argument("--encrypted", type=column_names, default=[], help="standard columns")
    parser.add_argument("--equality", type=column_names, default=[], help="equality columns")
    parser.add_argument("--keys", type=Path, required=True, help="exported module keys")
    parser.add_argument("--home", type=Path, nargs="+", action="extend", required=True)
    parser.add_argument("--null", help="how the CSV writes NULL; empty if not given")
    parser.add_argument("--key", default="sys_id", help="the primary key column")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    schemes = dict.fromkeys(given.encrypted, STANDARD) | dict.fromkeys(given.equality, EQUALITY)
    if not schemes or len(schemes) != len(given.encrypted) + len(given.equality):
        parser.error("name at least one encrypted column, and each column once")
    request = Request(
        database=given.database,
        table=given.table,
        csv=given.csv,
        schemes=schemes,
        keys=given.keys,
        homes=given.home,
        key=given.key,
        null=given.null,
    )
    return request, given.json


def main(arguments: Sequence[str] | None = None) -> int:
    """Check, print the report, and give 0 only if all agrees."""
    request, wants_json = read_request(arguments)
    try:
        report = check(request)
    except (CheckError, OSError, ValueError, csv.Error, sqlite3.Error) as error:
        reason = f"{type(error).__name__}: {error}"
        print(json.dumps({"agrees": False, "error": reason}) if wants_json else reason)
        return 1
    if wants_json:
        print(json.dumps(report.as_dict(), indent=2))
    else:
        print("\n".join(report.lines()))
    return 0 if report.agrees() else 1


if __name__ == "__main__":
    sys.exit(main())
