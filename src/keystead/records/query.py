"""Queries as text: `column=value`, `column!=value`, joined with `^` (all must hold). Pure."""

from __future__ import annotations

from dataclasses import dataclass

from keystead.base.errors import Invalid


@dataclass(frozen=True, slots=True)
class Term:
    """One condition; `operator` is `in` or `not in`."""

    column: str
    operator: str
    value: str


def parse(query: str) -> list[Term]:
    """The terms of a query; an empty query has none.

    Raises:
        Invalid: for a term that is not of the form, or a column named twice.
    """
    terms: list[Term] = []
    for part in query.split("^") if query else []:
        column, equals, value = part.partition("=")
        operator = "not in" if column.endswith("!") else "in"
        column = column.removesuffix("!").strip()
        if not equals or not column or any(t.column == column for t in terms):
            raise Invalid("query.syntax", term=part)
        terms.append(Term(column, operator, value))
    return terms
