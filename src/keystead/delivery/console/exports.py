"""A list as CSV, for spreadsheets: no value of it is taken for a formula. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Final

_STARTS: Final = tuple("=+-@\t\r\n|%＝＋－＠")
MOST_ROWS: Final = 10_000


def as_csv(header: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    """UTF-8 with a mark of it, every field quoted."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, quoting=csv.QUOTE_ALL)
    writer.writerow([harmless(name) for name in header])
    writer.writerows([harmless(value) for value in row] for row in rows)
    return out.getvalue().encode("utf-8-sig", "replace")


def harmless(value: str) -> str:
    """A text that no spreadsheet computes; numbers stay as they are."""
    return f"'{value}" if value.lstrip(" ").startswith(_STARTS) and not _is_number(value) else value


def _is_number(value: str) -> bool:
    digits = value.removeprefix("-")
    return digits.isascii() and digits.isdigit()
