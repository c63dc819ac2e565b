"""What a list is asked, as it stands in its address: filter, order, page. Pure.

A search is typed over a column: `*x` contains, `%x` ends with, `x%` starts with, `=x`, `!=x`,
`!*x`, `<x`, `<=x`, `>x`, `>=x`; `=` alone is empty, `!=` alone is not. Text without a sign is
contained, where a column can only be compared as a whole it is equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import quote, urlencode

from keystead.base.errors import Invalid
from keystead.database.query import Condition, Operator, Query
from keystead.records.query import MOST_CONDITIONS

PAGE_ROWS: Final = 50
MOST_PAGE_ROWS: Final = 500
_MOST_PAGES: Final = 10**9
_SEARCH: Final = "search."
_SIGNS: Final = (
    ("!=", Operator.NOT_EQUAL),
    ("!*", Operator.CONTAINS_NOT),
    (">=", Operator.AT_LEAST),
    ("<=", Operator.AT_MOST),
    ("=", Operator.EQUAL),
    ("*", Operator.CONTAINS),
    (">", Operator.GREATER),
    ("<", Operator.LESS),
)
_WORDS: Final = {
    Operator.CONTAINS: "contains",
    Operator.CONTAINS_NOT: "does not contain",
    Operator.STARTS_WITH: "starts with",
    Operator.ENDS_WITH: "ends with",
    Operator.EMPTY: "is empty",
    Operator.NOT_EMPTY: "is not empty",
    Operator.IN: "is one of",
    Operator.NOT_IN: "is none of",
    Operator.ANYTHING: "is anything",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """One state of a list. `query` is an encoded query; `searches` are texts typed over columns.

    Pages have `size` rows, where nobody asks for more or fewer the `usual` number.
    """

    query: str = ""
    searches: tuple[tuple[str, str], ...] = ()
    sort: str = ""
    descending: bool = False
    page: int = 1
    size: int = PAGE_ROWS
    usual: int = PAGE_ROWS

    @property
    def offset(self) -> int:
        """How many rows come before the page."""
        return (self.page - 1) * self.size

    def with_(self, **changes: Any) -> Asked:
        """The same but for these; at its first page, unless that is among them."""
        return replace(self, **{"page": 1, **changes})

    def without(self, column: str) -> Asked:
        """The same without the search over a column."""
        return self.with_(searches=tuple(s for s in self.searches if s[0] != column))

    def pairs(self) -> list[tuple[str, str]]:
        """Its parameters in an address, without those that are as usual."""
        out = [("sysparm_query", self.query)] if self.query else []
        out += [(_SEARCH + column, text) for column, text in self.searches]
        if self.sort:
            out.append(("sort", self.sort))
        if self.descending:
            out.append(("descending", "true"))
        if self.size != self.usual:
            out.append(("rows", str(self.size)))
        if self.page != 1:
            out.append(("page", str(self.page)))
        return out

    def href(self, table: str, suffix: str = "list") -> str:
        """Where a table is asked this."""
        return address(table, suffix, self.pairs())


def address(table: str, suffix: str, pairs: Sequence[tuple[str, str]] = ()) -> str:
    """The path of a page about a table, with parameters."""
    encoded = urlencode(pairs)
    return f"/{quote(table, safe='')}.{suffix}" + (f"?{encoded}" if encoded else "")


def form_address(table: str, sys_id: str) -> str:
    """Where one row is shown."""
    return address(table, "form", [("sys_id", sys_id)])


def from_pairs(pairs: Sequence[tuple[str, str]], usual: int = PAGE_ROWS) -> Asked:
    """What parameters ask; numbers that are none count as the usual ones.

    Raises:
        Invalid: for too many searches.
    """
    last = dict(pairs)
    searches = tuple((n.removeprefix(_SEARCH), v) for n, v in pairs if n.startswith(_SEARCH) and v)
    if len(searches) > MOST_CONDITIONS:
        raise Invalid("query.long", most=MOST_CONDITIONS)
    return Asked(
        last.get("sysparm_query", ""),
        searches,
        last.get("sort", ""),
        last.get("descending") == "true",
        _number(last.get("page", ""), 1, _MOST_PAGES),
        _number(last.get("rows", ""), usual, MOST_PAGE_ROWS),
        usual,
    )


def condition(column: str, text: str, *, whole: bool) -> Condition:
    """What a search asks; `whole` of a column that is compared with whole values."""
    if text in ("=", "!="):
        return Condition(column, Operator.EMPTY if text == "=" else Operator.NOT_EMPTY, ())
    for sign, operator in _SIGNS:
        if text.startswith(sign):
            return Condition(column, operator, (text[len(sign) :],))
    inner = text.strip("%")
    if text.startswith("%") and text.endswith("%") and inner:
        return Condition(column, Operator.CONTAINS, (text[1:-1],))
    if text.startswith("%"):
        return Condition(column, Operator.ENDS_WITH, (text[1:],))
    if text.endswith("%"):
        return Condition(column, Operator.STARTS_WITH, (text[:-1],))
    return Condition(column, Operator.EQUAL if whole else Operator.CONTAINS, (text,))


def in_words(query: Query, labels: dict[str, str]) -> str:
    """A query as people read it."""
    blocks = [
        " and ".join(" or ".join(said(c, labels) for c in group) for group in block)
        for block in query.blocks
    ]
    return ", or ".join(blocks)


def said(asked: Condition, labels: dict[str, str]) -> str:
    """One condition as people read it."""
    word = _WORDS.get(asked.operator, asked.operator.value)
    return " ".join((labels.get(asked.column, asked.column), word, ", ".join(asked.values))).strip()


def _number(text: str, usual: int, most: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        return usual
    return min(int(text), most) or usual
