"""What a list is asked, from its address and back."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.database.query import Condition, Operator
from keystead.delivery.console import exports
from keystead.delivery.console.asked import Asked, condition, from_pairs
from keystead.delivery.console.security import local

TEXT = st.text(max_size=20)


@pytest.mark.parametrize(
    ("text", "operator", "values"),
    [
        ("*Turn", Operator.CONTAINS, ("Turn",)),
        ("%x", Operator.ENDS_WITH, ("x",)),
        ("x%", Operator.STARTS_WITH, ("x",)),
        ("%x%", Operator.CONTAINS, ("x",)),
        ("=x", Operator.EQUAL, ("x",)),
        ("!=x", Operator.NOT_EQUAL, ("x",)),
        ("!*x", Operator.CONTAINS_NOT, ("x",)),
        (">=3", Operator.AT_LEAST, ("3",)),
        ("<3", Operator.LESS, ("3",)),
        ("=", Operator.EMPTY, ()),
        ("!=", Operator.NOT_EMPTY, ()),
        ("x", Operator.CONTAINS, ("x",)),
        ("javascript:x", Operator.CONTAINS, ("javascript:x",)),
    ],
)
def test_searches(text: str, operator: Operator, values: tuple[str, ...]) -> None:
    assert condition("c", text, whole=False) == Condition("c", operator, values)


def test_a_column_of_whole_values_is_equal() -> None:
    assert condition("c", "x", whole=True).operator is Operator.EQUAL


@given(TEXT, st.booleans())
def test_any_text_is_a_search(text: str, whole: bool) -> None:
    assert condition("c", text, whole=whole).column == "c"


@given(
    st.builds(
        Asked,
        TEXT,
        st.lists(st.tuples(TEXT, TEXT.filter(bool)), max_size=3).map(tuple),
        TEXT,
        st.booleans(),
        st.integers(1, 10**9),
        st.integers(1, 500),
    )
)
def test_an_address_says_all_that_is_asked(asked: Asked) -> None:
    query = urlsplit(asked.href("a table/?#")).query
    pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    assert from_pairs(pairs) == asked


@given(TEXT)
def test_no_text_of_an_export_is_a_formula(text: str) -> None:
    made = exports.harmless(text)
    assert made in (text, f"'{text}")
    assert not made.lstrip(" ").startswith(("=", "+", "@", "\t", "\r")) or made.isspace()
    if made.lstrip(" ").startswith("-"):
        int(made)


@given(TEXT)
def test_a_path_to_go_on_to_is_of_this_site(text: str) -> None:
    for path in (text, f"/{text}", f"//{text}", f"/\\{text}"):
        found = local(path)
        assert found.startswith("/")
        assert not found.startswith(("//", "/\\"))
        assert found.isprintable()
