"""Lists: which rows, columns and links a table's page shows, of declared and of business tables."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from keystead.access import authority
from keystead.base.errors import KeysteadError, NotFound
from keystead.crypto.envelope import Scheme
from keystead.database.model import ColumnType, key_text
from keystead.database.query import Condition, Order, Query
from keystead.delivery.console import asked as asking
from keystead.delivery.console.asked import Asked, form_address
from keystead.delivery.console.cells import Cell, Names
from keystead.delivery.console.frame import Message, Visit
from keystead.dictionary import finding, guard
from keystead.dictionary.model import Context, Field, Kind, Row, Table
from keystead.external.tables import ALERTS
from keystead.records.query import parse
from keystead.records.reading import View
from keystead.records.session import Caller, Records

_WHOLE: Final = (Kind.NUMBER, Kind.MOMENT, Kind.ID)
_MOST_AT_FIRST: Final = 12  # columns of a business table that nobody chose


@dataclass(frozen=True, slots=True)
class Heading:
    """A column of a list. `sort` and `search` are whether it can be asked so."""

    name: str
    label: str
    kind: str
    help: str = ""
    sort: bool = True
    search: bool = True
    note: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """A row of a list and where it leads."""

    href: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Crumb:
    """One condition of the filter: where it is the last one, and where it is left out."""

    text: str
    up_to: str
    without: str


@dataclass(frozen=True, slots=True)
class Listing:
    """What the page of a list shows. `every` has all columns, `headings` those chosen.

    `newest` is how many rows of a long table were looked at, where those were not all. `dark` says
    why of each value that cannot be opened now.
    """

    name: str
    title: str
    summary: str
    asked: Asked
    every: tuple[Heading, ...]
    headings: tuple[Heading, ...]
    crumbs: tuple[Crumb, ...] = ()
    lines: tuple[Line, ...] = ()
    total: int = 0
    empty: str = "No record yet."
    is_business: bool = False
    newest: int | None = None
    problem: KeysteadError | None = None
    dark: tuple[KeysteadError, ...] = ()
    searched: dict[str, str] = field(default_factory=dict)

    @property
    def first(self) -> int:
        """The number of the first row shown, from 1."""
        return self.asked.offset + 1

    @property
    def last(self) -> int:
        """The number of the last row shown."""
        return self.asked.offset + len(self.lines)

    @property
    def pages(self) -> int:
        """How many pages there are."""
        return max(1, -(-self.total // self.asked.size))

    def page(self, number: int) -> str:
        """Where another page of it is."""
        return replace(self.asked, page=number).href(self.name)

    def sorted_by(self, heading: Heading) -> str:
        """Where it is sorted by a column; the other way round if it is already."""
        now = self.asked
        turned = now.sort == heading.name and not now.descending
        return now.with_(sort=heading.name, descending=turned).href(self.name)


def declared(context: Context, table: Table, asked: Asked, chosen: Sequence[str]) -> Listing:
    """The list of a declared table.

    Raises:
        Denied: when he may not see it.
    """
    rows = guard.rows(context, table)
    names = Names(context)
    every = tuple(Heading(f.name, f.label, f.kind, f.help) for f in table.fields)
    usual = [f.name for f in table.fields if f.in_list]
    listing = _begun(table.name, table.plural, table.summary, asked, every, chosen, usual)
    reached = len(rows) == table.limit
    listing = replace(listing, empty=table.empty, newest=table.limit if reached else None)
    labels = {f.name: f.label for f in table.fields}
    try:
        query = finding.encoded(asked.query, table)
        conditions = [
            _condition(table.field(column), column, text) for column, text in asked.searches
        ]
        listing = replace(listing, crumbs=_crumbs(table.name, asked, query, conditions, labels))
        met = finding.found(rows, query, table)
        met = _searched(table, names, met, conditions, asked)
    except KeysteadError as error:
        return replace(listing, problem=error)
    page = met[asked.offset : asked.offset + asked.size]
    fields = [f for h in listing.headings if (f := table.field(h.name))]
    lines = tuple(
        Line(form_address(table.name, row["sys_id"]), tuple(names.cell(f, row) for f in fields))
        for row in page
    )
    return replace(listing, lines=lines, total=len(met))


def business(
    records: Records, caller: Caller, table: str, asked: Asked, chosen: Sequence[str]
) -> Listing:
    """The list of a business table, as the caller may see it.

    Raises:
        NotFound: when there is none of that name.
    """
    with records.reading(caller, table) as view:
        name = view.table.name
        every = tuple(_heading(view, c.name, c.type) for c in view.table.columns)
        usual = [h.name for h in every][:_MOST_AT_FIRST]
        listing = _begun(name, name, "", asked, every, chosen, usual)
        listing = replace(listing, is_business=True, empty="The table has no record.")
        labels = {h.name: h.label for h in every}
        try:
            query = parse(asked.query, view.table)
            conditions = [_business_condition(view, c, text) for c, text in asked.searches]
            listing = replace(listing, crumbs=_crumbs(name, asked, query, conditions, labels))
            query = _ordered(query.narrowed(conditions), asked)
            columns = [h.name for h in listing.headings]
            total = view.count(query)
            shown = view.rows(query, columns, asked.size, asked.offset, total)
        except KeysteadError as error:
            return replace(listing, problem=error)
    lines = tuple(
        Line(
            form_address(name, key_text(key)),
            tuple(
                Cell("" if value is None else str(value), heading.kind)
                for value, heading in zip(row, listing.headings, strict=True)
            ),
        )
        for row, key in zip(shown.rows, shown.keys, strict=True)
    )
    return replace(listing, lines=lines, total=total, dark=tuple(shown.dark.values()))


def of_dark(visit: Visit, dark: Collection[KeysteadError]) -> Message | None:
    """That values are shown empty since they cannot be opened; and why, to who may know."""
    if not dark:
        return None
    reasons = sorted({why.what for why in dark})
    told = " ".join(reasons) if authority.may_see(visit.context.actor, ALERTS.name) else ""
    count = "A value" if len(dark) == 1 else f"{len(dark):,} values"
    return Message(f"{count} cannot be opened here now; shown empty.", "warn", told)


def _begun(
    name: str,
    title: str,
    summary: str,
    asked: Asked,
    every: tuple[Heading, ...],
    chosen: Sequence[str],
    usual: Sequence[str],
) -> Listing:
    by_name = {h.name: h for h in every}
    headings = tuple(by_name[n] for n in chosen if n in by_name)
    headings = headings or tuple(by_name[n] for n in usual)
    return Listing(name, title, summary, asked, every, headings, searched=dict(asked.searches))


def _crumbs(
    table: str, asked: Asked, query: Query, conditions: list[Condition], labels: dict[str, str]
) -> tuple[Crumb, ...]:
    """The encoded query as one crumb, then each search."""
    out = []
    if query.blocks:
        alone = asked.with_(searches=())
        text = asking.in_words(query, labels)
        out.append(Crumb(text, alone.href(table), asked.with_(query="").href(table)))
    for number, condition in enumerate(conditions, 1):
        up_to = asked.with_(searches=asked.searches[:number]).href(table)
        without = asked.without(condition.column).href(table)
        out.append(Crumb(asking.said(condition, labels), up_to, without))
    return tuple(out)


def _condition(declared_field: Field | None, column: str, text: str) -> Condition:
    whole = declared_field is not None and declared_field.kind in _WHOLE
    if declared_field is not None and declared_field.kind is Kind.YES_NO:
        return asking.condition(column, _AS_STORED.get(text.lower(), text), whole=True)
    return asking.condition(column, text, whole=whole)


_AS_STORED: Final = {
    **{"yes": "true", "no": "false", "=yes": "true", "=no": "false"},
    **{"!=yes": "!=true", "!=no": "!=false"},
}


def _searched(
    table: Table, names: Names, rows: list[Row], conditions: list[Condition], asked: Asked
) -> list[Row]:
    """The rows that searches find, sorted: a reference is searched and sorted by what it names."""
    references = [f for f in table.fields if f.kind is Kind.REFERENCE]
    touched = {c.column for c in conditions} | {asked.sort}
    named = [f for f in references if f.name in touched]
    by_id = {row["sys_id"]: row for row in rows}
    worded = [{**row, **{f.name: names.cell(f, row).text for f in named}} for row in rows]
    _refuse_unknown(table, touched)
    query = _ordered(Query().narrowed(conditions), asked)
    return [by_id[row["sys_id"]] for row in finding.found(worded, query, table)]


def _refuse_unknown(table: Table, columns: set[str]) -> None:
    for column in columns - {"", finding.SYS_ID}:
        if table.field(column) is None:
            raise NotFound("column.missing", table=table.name, column=column)


def _ordered(query: Query, asked: Asked) -> Query:
    order = (Order(asked.sort, asked.descending),) if asked.sort else query.order
    return Query(query.blocks, order)


def _heading(view: View, name: str, type: ColumnType) -> Heading:
    kind = Kind.NUMBER if type is ColumnType.INTEGER else Kind.TEXT
    if not view.visible.is_encrypted(name):
        return Heading(name, name, kind)
    configuration = view.visible.encrypted[name]
    readable = view.visible.may_decrypt(name)
    note = "encrypted" if readable else "encrypted, not shown to you"
    searchable = readable and configuration.scheme is Scheme.EQUALITY
    return Heading(name, name, Kind.TEXT, sort=False, search=searchable, note=note)


def _business_condition(view: View, column: str, text: str) -> Condition:
    known = view.table.column(column)
    whole = view.visible.is_encrypted(column) or (
        known is not None and known.type is not ColumnType.TEXT
    )
    return asking.condition(column, text, whole=whole)
