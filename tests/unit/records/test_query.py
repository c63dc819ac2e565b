"""Encoded queries: what each text means, whatever the columns are called."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.base.errors import Invalid, KeysteadError, NotFound
from keystead.database.model import Column, ColumnType, Table
from keystead.database.query import Condition, Operator, Order, Query
from keystead.records.query import MOST_CONDITIONS, MOST_VALUES, parse

NAMES = ("a", "b", "city", "cityIN", "LINE", "name 1", "ORDERBYx", "NQ", "山", "a.b")
TABLE = Table("t", tuple(Column(name, ColumnType.TEXT) for name in NAMES), ("a",))


def one(column: str, operator: Operator, *values: str) -> Condition:
    return Condition(column, operator, values)


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("a=1", one("a", Operator.EQUAL, "1")),
        ("a=", one("a", Operator.EQUAL, "")),
        ("a=javascript:x", one("a", Operator.EQUAL, "javascript:x")),
        ("a=x=y", one("a", Operator.EQUAL, "x=y")),
        ("a!=1", one("a", Operator.NOT_EQUAL, "1")),
        ("a<1", one("a", Operator.LESS, "1")),
        ("a<=1", one("a", Operator.AT_MOST, "1")),
        ("a>1", one("a", Operator.GREATER, "1")),
        ("a>=1", one("a", Operator.AT_LEAST, "1")),
        ("aLIKEx", one("a", Operator.CONTAINS, "x")),
        ("a*x", one("a", Operator.CONTAINS, "x")),
        ("aNOT LIKEx", one("a", Operator.CONTAINS_NOT, "x")),
        ("a!*x", one("a", Operator.CONTAINS_NOT, "x")),
        ("aSTARTSWITHx", one("a", Operator.STARTS_WITH, "x")),
        ("aENDSWITHx", one("a", Operator.ENDS_WITH, "x")),
        ("a%x", one("a", Operator.ENDS_WITH, "x")),
        ("aINx,y", one("a", Operator.IN, "x", "y")),
        ("aNOT INx,y", one("a", Operator.NOT_IN, "x", "y")),
        ("aISEMPTY", one("a", Operator.EMPTY)),
        ("aISNOTEMPTY", one("a", Operator.NOT_EMPTY)),
        ("aANYTHING", one("a", Operator.ANYTHING)),
        ("aEMPTYSTRING", one("a", Operator.EQUAL, "")),
        ("LINE=5", one("LINE", Operator.EQUAL, "5")),
        ("cityIN=5", one("cityIN", Operator.EQUAL, "5")),
        ("cityIN5", one("city", Operator.IN, "5")),
        ("name 1=Zoë Å", one("name 1", Operator.EQUAL, "Zoë Å")),
        ("山ISEMPTY", one("山", Operator.EMPTY)),
        ("a.bLIKEx", one("a.b", Operator.CONTAINS, "x")),
    ],
)
def test_one_condition(text: str, condition: Condition) -> None:
    assert parse(text, TABLE) == Query((((condition,),),))


def test_alternatives_bind_tighter_than_conjunctions() -> None:
    a, b, c = (one(n, Operator.EQUAL, "1") for n in ("a", "b", "city"))
    assert parse("a=1^ORb=1^city=1", TABLE).blocks == (((a, b), (c,)),)
    assert parse("a=1^b=1^ORcity=1", TABLE).blocks == (((a,), (b, c)),)
    assert parse("a=1^NQb=1^ORcity=1", TABLE).blocks == (((a,),), ((b, c),))


@pytest.mark.parametrize("text", ["", "^", "EQ", "^EQ"])
def test_a_query_of_nothing_is_every_row(text: str) -> None:
    assert parse(text, TABLE) == Query()


def test_order() -> None:
    query = parse("a=1^ORDERBYcity^ORDERBYDESCb^EQ", TABLE)
    assert query.order == (Order("city", descending=False), Order("b", descending=True))


@pytest.mark.parametrize("text", ["a", "=1", "a=1^^b=1"])
def test_what_cannot_be_understood_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse(text, TABLE)
    assert caught.value.code == "query.syntax"


@pytest.mark.parametrize(
    "text", ["other=1", "A=1", "otherISEMPTY", "ORDERBYother", "a=1^ORother=1"]
)
def test_a_column_that_is_not_there_is_named(text: str) -> None:
    with pytest.raises(NotFound) as caught:
        parse(text, TABLE)
    assert caught.value.code == "column.missing"
    assert caught.value.facts["column"] in ("other", "A")


def test_a_query_of_too_many_conditions_is_refused() -> None:
    parse("^".join(["a=1"] * MOST_CONDITIONS), TABLE)
    with pytest.raises(Invalid):
        parse("^".join(["a=1"] * (MOST_CONDITIONS + 1)), TABLE)


def test_a_query_of_too_many_values_is_refused() -> None:
    parse("aIN" + "," * (MOST_VALUES - 1), TABLE)
    with pytest.raises(Invalid) as caught:
        parse("aIN" + "," * MOST_VALUES, TABLE)
    assert caught.value.code == "query.values"


def test_narrowing_holds_in_every_block() -> None:
    more = one("city", Operator.EQUAL, "x")
    assert Query().narrowed((more,)).blocks == (((more,),),)
    narrowed = parse("a=1^NQb=1", TABLE).narrowed((more,))
    assert [block[-1] for block in narrowed.blocks] == [(more,), (more,)]
    assert parse("a=1", TABLE).narrowed(()) == parse("a=1", TABLE)


@given(st.text(alphabet="ab^ORNQ=!<>*%LIKEINISEMPTYDBC ,1", max_size=60))
def test_any_text_is_a_query_or_refused(text: str) -> None:
    try:
        query = parse(text, TABLE)
    except KeysteadError:
        return
    assert all(condition.column in NAMES for condition in query.conditions)
    assert all(block for block in query.blocks)
