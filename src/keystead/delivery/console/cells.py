"""Values of declared fields as they are shown, and the names behind references."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from keystead.base import clock
from keystead.base.errors import Denied
from keystead.delivery.console.asked import form_address
from keystead.dictionary import guard, registry
from keystead.dictionary.model import Context, Field, Kind, Row, Table

_MARKED: Final = frozenset({Kind.STATE, Kind.MOMENT, Kind.ID})


class Cell(NamedTuple):
    """One value: its text, a tone for a state, a link for a reference, the `exact` one.

    A page has many hundreds, and a tuple is made faster than a dataclass.
    """

    text: str
    kind: str = Kind.TEXT
    tone: str = ""
    href: str = ""
    exact: str = ""

    @property
    def is_bare(self) -> bool:
        """Whether its text is all that is shown."""
        return not self.href and self.kind not in _MARKED


class Names:
    """How rows of declared tables are called, each table read once for a request."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._known: dict[str, Mapping[str, str]] = {}

    def of(self, table: str) -> Mapping[str, str]:
        """Names by `sys_id`; none for who may not see the table."""
        if table not in self._known:
            self._known[table] = {}  # tables may refer to each other
            self._known[table] = self._read(table)
        return self._known[table]

    def _read(self, name: str) -> Mapping[str, str]:
        table = registry.TABLES.get(name)
        if table is None:
            return {}
        try:
            rows = guard.rows(self._context, table)
        except Denied:
            return {}
        return {row["sys_id"]: self.title(table, row) for row in rows}

    def title(self, table: Table, row: Row) -> str:
        """How a row is called: its display field, after what its first field refers to."""
        shown = table.field(table.display)
        text = self.cell(shown, row).text if shown else ""
        first = table.fields[0]
        above = self.cell(first, row).text if first.kind is Kind.REFERENCE else ""
        return ": ".join(part for part in (above, text or str(row["sys_id"])) if part)

    def cell(self, field: Field, row: Row) -> Cell:
        """A field of a row."""
        value = row.get(field.name)
        if value is None or value == "":
            return Cell("", field.kind)
        if field.kind is Kind.REFERENCE and field.reference:
            names = self.of(field.reference)
            href = form_address(field.reference, str(value)) if str(value) in names else ""
            return Cell(names.get(str(value), str(value)), field.kind, href=href)
        text = shown(field.kind, value)
        tone = field.tones.get(str(value), "quiet") if field.kind is Kind.STATE else ""
        return Cell(text, field.kind, tone, exact=str(value) if text != str(value) else "")


def shown(kind: Kind, value: Any) -> str:
    """A value in words."""
    if isinstance(value, bool):
        return "Yes" if value else "No"
    if kind is Kind.MOMENT:
        return moment(str(value))
    if kind is Kind.NUMBER and isinstance(value, int):
        return f"{value:,}"
    return str(value)


def moment(text: str) -> str:
    """A moment to the second, in UTC."""
    try:
        return clock.parse(text).strftime("%Y-%m-%d %H:%M:%S")
    except ValueError:
        return text
