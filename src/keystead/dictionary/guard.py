"""The one way to what is declared: rights are asked before anything is read or done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from keystead.access.authority import refuse_unless_may, refuse_unless_reads
from keystead.base.errors import Conflict, Invalid, NotFound
from keystead.database.model import refuse_nul
from keystead.dictionary.model import EMPTY_ROW, Context, Operation, Outcome, Row, Table


def rows(context: Context, table: Table) -> Sequence[Row]:
    """Every row of a table, or the newest of a long one, for who may see it.

    Raises:
        Denied: when he may not.
        Tampered: when it is not as it was written.
    """
    refuse_unless_reads(context.actor, table.name)
    with context.instance.database.snapshot() as tx:
        return table.rows(tx, context)


def row(context: Context, table: Table, sys_id: str) -> Row:
    """One row of a table.

    Raises:
        Denied: when he may not see the table.
        NotFound: when there is none of that id.
    """
    if table.by_id is None:
        found = next((row for row in rows(context, table) if row["sys_id"] == sys_id), None)
    else:
        refuse_unless_reads(context.actor, table.name)
        with context.instance.database.snapshot() as tx:
            found = table.by_id(tx, context, sys_id)
    if found is None:
        raise NotFound("row.missing", table=table.label)
    return found


def offered(context: Context, table: Table, operation: Operation, sys_id: str | None) -> Row:
    """The row that an operation would be done to; an empty one for an operation on the table.

    Raises:
        Denied: when he may not do it, or not see the table.
        NotFound: for a row that is not there.
        Conflict: when the operation is not offered for the row as it stands.
    """
    refuse_unless_may(context.actor, operation.name)
    if operation not in table.operations:
        return EMPTY_ROW
    if sys_id is None:
        raise NotFound("row.missing", table=table.label)
    found = row(context, table, sys_id)
    if not operation.fits(found):
        raise Conflict("operation.unfit", operation=operation.label)
    return found


def run(
    context: Context, table: Table, operation: Operation, sys_id: str | None, given: Any
) -> Outcome:
    """Do an operation with parameters that were given as texts or JSON values.

    Raises:
        Denied, NotFound, Conflict: as for `offered`.
        Invalid: for parameters that do not fit.
    """
    found = offered(context, table, operation, sys_id)
    return operation.run(context, found, parameters(operation, given))


def _texts(given: Any) -> Iterator[str]:
    if isinstance(given, str):
        yield given
    elif isinstance(given, Mapping):
        yield from (text for pair in given.items() for part in pair for text in _texts(part))
    elif isinstance(given, list):
        yield from (text for part in given for text in _texts(part))


def parameters(operation: Operation, given: Any) -> msgspec.Struct:
    """What was given, in the form that the operation takes.

    Raises:
        Invalid: naming the parameter.
    """
    refuse_nul(*_texts(given))
    try:
        return msgspec.convert(given, operation.parameters, strict=False)
    except msgspec.ValidationError as error:
        raise Invalid("operation.parameters", reason=str(error).rstrip(".")) from None
