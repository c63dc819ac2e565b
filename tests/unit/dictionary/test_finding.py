"""Queries over declared rows: each operator on each kind of field, order, and any text at all."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.base.errors import Invalid, KeysteadError, NotFound
from keystead.dictionary.finding import encoded, found
from keystead.dictionary.model import Field, Kind, Table

FIELDS = (
    Field("name", "Name"),
    Field("size", "Size", Kind.NUMBER),
    Field("held", "Held", Kind.YES_NO),
    Field("made", "Made", Kind.MOMENT),
    Field("module", "Module", Kind.REFERENCE, reference="t"),
)
TABLE = Table("t", "t", "T", "Ts", "", FIELDS, lambda _tx, _context: [])
EARLY, LATE = "2026-01-01T08:00:00.000000Z", "2026-06-01T08:00:00.000001Z"
ROWS: list[dict[str, Any]] = [
    {"sys_id": "1", "name": "Ann", "size": 9, "held": True, "made": LATE, "module": "m"},
    {"sys_id": "2", "name": "ann", "size": 10, "held": False, "made": EARLY, "module": "n"},
    {"sys_id": "3", "name": "", "size": None, "held": None, "made": None, "module": None},
    {"sys_id": "4", "name": None, "size": -1, "held": True, "made": EARLY, "module": "m"},
]


def ids(query: str) -> str:
    return "".join(row["sys_id"] for row in found(ROWS, encoded(query, TABLE), TABLE))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", "1234"),
        ("name=Ann", "1"),
        ("name!=Ann", "234"),
        ("nameLIKEN", "12"),
        ("nameNOT LIKEA", "34"),
        ("nameSTARTSWITHAN", "12"),
        ("name%nN", "12"),
        ("name>A", "12"),
        ("name<a", "13"),
        ("nameINAnn,ann", "12"),
        ("nameNOT INAnn,ann", "34"),
        ("nameISEMPTY", "34"),
        ("nameISNOTEMPTY", "12"),
        ("nameEMPTYSTRING", "3"),
        ("nameANYTHING", "1234"),
        ("size>9", "2"),
        ("size>=9", "12"),
        ("size<9", "4"),
        ("size<=9", "14"),
        ("size=+9", "1"),
        ("size!=9", "234"),
        ("sizeIN9,10", "12"),
        ("size=", ""),
        ("size!=", "1234"),
        ("sizeISEMPTY", "3"),
        ("sizeLIKE1", "24"),
        ("held=true", "14"),
        ("held!=true", "23"),
        ("heldISEMPTY", "3"),
        ("made>2026-01-01", "124"),
        ("made<2026-06-01 08:00", "24"),
        ("made=2026-01-01 09:00:00+01:00", "24"),
        ("made>0001-01-01 00:00+14:00", "124"),
        ("madeSTARTSWITH2026-06", "1"),
        ("module=m", "14"),
        ("sys_idIN3,4", "34"),
        ("name=Ann^ORsize=10^held=true", "1"),
        ("name=Ann^NQsize=-1", "14"),
        ("ORDERBYsize", "3412"),
        ("ORDERBYDESCsize", "2143"),
        ("ORDERBYmade^ORDERBYDESCsys_id", "3421"),
        ("ORDERBYDESCheld", "1423"),
        ("name=javascript:gs.now()", ""),
    ],
)
def test_queries(query: str, expected: str) -> None:
    assert ids(query) == expected


@pytest.mark.parametrize(
    ("query", "family", "code"),
    [
        ("nothing=1", NotFound, "column.missing"),
        ("size=x", Invalid, "query.value"),
        ("size>", Invalid, "query.value"),
        ("size=" + "9" * 200, Invalid, "value.range"),
        ("made>yesterday", Invalid, "query.value"),
        ("madeIN2026-01-01,x", Invalid, "query.value"),
        ("name", Invalid, "query.syntax"),
    ],
)
def test_what_cannot_be_asked(query: str, family: type[KeysteadError], code: str) -> None:
    with pytest.raises(family) as caught:
        ids(query)
    assert caught.value.code == code


PARTS = st.sampled_from(
    ["^", "^OR", "^NQ", "^EQ", "ORDERBY", "DESC", "=", "!=", "<", ">=", "LIKE", "IN", "NOT IN"]
    + ["ISEMPTY", "javascript:", "%", "*", ",", "0", "-1", "2026-01-01", "true", "\0"]
    + [field.name for field in FIELDS]
)


@given(st.one_of(st.text(), st.lists(st.one_of(PARTS, st.text(max_size=3))).map("".join)))
def test_any_text_finds_rows_or_is_refused(text: str) -> None:
    try:
        rows = found(ROWS, encoded(text, TABLE), TABLE)
    except (Invalid, NotFound):
        return
    assert all(row in ROWS for row in rows)
    assert len({row["sys_id"] for row in rows}) == len(rows)
