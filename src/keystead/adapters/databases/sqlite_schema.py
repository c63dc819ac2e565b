"""Reading the statements that SQLite keeps as its schema. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from keystead.base.errors import Unavailable
from keystead.database.model import ColumnType

_PART = re.compile(
    r"""--[^\n]*|/\*.*?\*/|(?P<quoted>"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|'(?:[^']|'')*')"""
    r"""|(?P<word>[^\W\d][\w$]*)|(?P<mark>[()])""",
    re.DOTALL,
)


def type_of(declared: str) -> ColumnType:
    """The type of a column as it was declared (SQLite, "Datatypes", §3.1)."""
    upper = declared.upper()
    if "INT" in upper:
        return ColumnType.INTEGER
    if any(word in upper for word in ("CHAR", "TEXT", "CLOB")):
        return ColumnType.TEXT
    return ColumnType.OTHER


def names_in(statement: str) -> set[str]:
    """Every name in a statement, in lower case; keywords and texts are among them."""
    return {name.lower() for name, _ in _parts(statement)}


def names_after(keyword: str, statement: str) -> set[str]:
    """The names in the parentheses after a keyword of a CREATE TABLE statement, in lower case.

    After CHECK they are those of its constraints, after AS those of its generated columns.
    """
    found: set[str] = set()
    depth, opened, before = 0, 0, ""
    for name, mark in _parts(statement):
        if mark == "(":
            depth += 1
            if not opened and before == keyword:
                opened = depth
        elif mark == ")":
            if depth == opened:
                opened = 0
            depth -= 1
        elif opened:
            found.add(name.lower())
        before = name.upper()
    return found


def retyped(statement: str, table: str, column: str, new_table: str) -> str:
    """The CREATE TABLE statement of `table` for another name, an integer `column` as TEXT.

    Raises:
        Unavailable: when the statement is written in a way that is not understood.
    """
    name = rf"""(?:{re.escape(quote(table))}|{re.escape(table)})"""
    renamed, found = re.subn(
        rf"^CREATE TABLE {name}",
        f"CREATE TABLE {new_table}",
        statement,
        count=1,
        flags=re.IGNORECASE,
    )
    field = rf"""([(,]\s*(?:{re.escape(quote(column))}|{re.escape(column)})\s+)\w*INT\w*"""
    changed, count = re.subn(field, r"\1TEXT", renamed, count=1, flags=re.IGNORECASE)
    if not (found and count):
        raise Unavailable("database.broken", reason=f"the type of {column} cannot be changed")
    return changed


def quote(name: str) -> str:
    """A name as it stands in a statement."""
    return '"' + name.replace('"', '""') + '"'


def _parts(statement: str) -> Iterator[tuple[str, str]]:
    """Names and texts without their quotes, and parentheses: one of the two is empty."""
    for found in _PART.finditer(statement):
        if quoted := found["quoted"]:
            closing = quoted[-1]
            yield quoted[1:-1].replace(closing * 2, closing), ""
        elif found["word"] or found["mark"]:
            yield found["word"] or "", found["mark"] or ""
