"""Pages about declared tables: lists, forms, and what can be done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from litestar import Response

from keystead.access import authority
from keystead.access.authority import OPERATIONS
from keystead.base.errors import Denied, KeysteadError, NotFound
from keystead.delivery.api.errors import status_of
from keystead.delivery.console import lists, parameters
from keystead.delivery.console.asked import Asked, address, form_address
from keystead.delivery.console.cells import Names
from keystead.delivery.console.entrance import elevation, refusal
from keystead.delivery.console.frame import Frame, Message, Visit
from keystead.delivery.console.lists import Listing
from keystead.delivery.console.parameters import Given, Parameter, Shape
from keystead.dictionary import guard, registry
from keystead.dictionary.model import EMPTY_ROW, Nothing, Operation, Outcome, Row, Table
from keystead.jobs.model import JobState

_RELATED_ROWS: Final = 10
_MOST_CHOICES: Final = 50
_GOING_ON: Final = (JobState.NEW, JobState.RUNNING)


@dataclass(frozen=True, slots=True)
class Button:
    """An operation that is offered. `direct` ones are done at once, others ask first."""

    operation: Operation
    href: str
    direct: bool
    locked: bool


@dataclass(frozen=True, slots=True)
class Option:
    """A row or value to choose."""

    value: str
    label: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class Input:
    """A parameter with what is put in."""

    parameter: Parameter
    value: str
    options: tuple[Option, ...]
    more: bool


class TablePages:
    """What is shown and done about declared tables."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    def list(
        self, visit: Visit, table: Table, asked: Asked, chosen: Sequence[str]
    ) -> Response[str]:
        """The list of a table."""
        listing = lists.declared(visit.context, table, asked, chosen)
        new = (table.create,) if table.create else ()
        buttons = _buttons(visit, table, (*new, *table.actions), None)
        return list_page(self._frame, visit, listing, buttons)

    def form(
        self,
        visit: Visit,
        table: Table,
        sys_id: str,
        message: Message | None = None,
        status: int = 200,
    ) -> Response[str]:
        """One row with its buttons and related lists."""
        row = guard.row(visit.context, table, sys_id)
        names = Names(visit.context)
        return self._frame.page(
            visit,
            "form.html",
            f"{table.label} {names.title(table, row)}",
            message=message,
            status=status,
            table=table,
            row=row,
            heading=names.title(table, row),
            fields=[(field, names.cell(field, row)) for field in table.fields],
            works=_is_work(row),
            progress=progress_of(row),
            buttons=_buttons(visit, table, table.operations, row),
            related=_related(visit, table, sys_id),
        )

    def progress(self, visit: Visit, table: Table, sys_id: str) -> Response[str]:
        """How far the work of a row is, as a part of its form, which is loaded anew at the end."""
        row = guard.row(visit.context, table, sys_id)
        part = self._frame.fragment(
            "progress.html", row=row, table=table, progress=progress_of(row)
        )
        if row.get("state") not in _GOING_ON:
            part.headers["HX-Refresh"] = "true"
        return part

    def ask(
        self, visit: Visit, table: Table, operation: Operation, sys_id: str | None
    ) -> Response[str]:
        """The page that asks for an operation's parameters, or whether it shall be done."""
        try:
            row = guard.offered(visit.context, table, operation, sys_id)
        except Denied as refused:
            if refused.code == "authority.elevation":
                return self._frame.go(elevation(visit.here))
            raise
        wanted = parameters.parameters(operation)
        given = {p.name: _present(p, row) for p in wanted}
        return self._asking(visit, table, operation, row, given)

    def do(
        self, visit: Visit, table: Table, operation: Operation, sys_id: str | None, form: Given
    ) -> Response[str]:
        """Do an operation; what goes wrong is said on the page that asked."""
        wanted = parameters.parameters(operation)
        try:
            given = parameters.as_given(wanted, form)
            outcome = guard.run(visit.context, table, operation, sys_id, given)
        except KeysteadError as error:
            if error.code == "authority.elevation":
                return self._frame.go(elevation(operation_address(table, operation, sys_id)))
            if isinstance(error, Denied) and error.code.startswith("authority"):
                raise
            return self._refused(visit, table, operation, sys_id, form, error)
        return self._told(visit, operation, outcome)

    def choices(
        self, visit: Visit, operation: Operation, name: str, text: str, chosen: Sequence[str]
    ) -> Response[str]:
        """The rows that fit a text, to choose one for a parameter."""
        authority.refuse_unless_may(visit.context.actor, operation.name)
        wanted = [p for p in parameters.parameters(operation) if p.name == name]
        if not wanted:
            raise NotFound("console.page", page=name)
        one = _input(visit, wanted[0], chosen, text)
        return self._frame.fragment("choices.html", input=one)

    def _asking(
        self,
        visit: Visit,
        table: Table,
        operation: Operation,
        row: Row,
        given: Given,
        error: KeysteadError | None = None,
    ) -> Response[str]:
        wanted = parameters.parameters(operation)
        sys_id = row.get("sys_id")
        return self._frame.page(
            visit,
            "operation.html",
            f"{operation.label}: {table.label}",
            message=refusal(error) if error else None,
            status=status_of(error) if error else 200,
            table=table,
            operation=operation,
            subject=Names(visit.context).title(table, row) if row else "",
            back=form_address(table.name, sys_id) if sys_id else address(table.name, "list"),
            action=operation_address(table, operation, sys_id),
            inputs=[_input(visit, one, given.get(one.name, ())) for one in wanted],
            before=operation.before(visit.context, row) if row else None,
        )

    def _refused(
        self,
        visit: Visit,
        table: Table,
        operation: Operation,
        sys_id: str | None,
        form: Given,
        error: KeysteadError,
    ) -> Response[str]:
        on_row = operation in table.operations
        if on_row and sys_id is not None and _is_direct(operation):
            return self.form(visit, table, sys_id, refusal(error), status_of(error))
        row = guard.row(visit.context, table, sys_id) if on_row and sys_id else EMPTY_ROW
        return self._asking(visit, table, operation, row, form, error)

    def _told(self, visit: Visit, operation: Operation, outcome: Outcome) -> Response[str]:
        onward = _onward(visit, outcome)
        if not outcome.shown_once and outcome.report is None:
            return self._frame.go(onward, Message(outcome.message))
        # answered at once: what is shown once is in no address, no cookie and no log
        return self._frame.page(
            visit,
            "outcome.html",
            operation.label,
            message=Message(outcome.message),
            outcome=outcome,
            onward=onward,
        )


def list_page(
    frame: Frame, visit: Visit, listing: Listing, buttons: Sequence[Button] = ()
) -> Response[str]:
    """The page of a list; a filter that cannot be asked is said and stays to be mended."""
    problem = listing.problem
    return frame.page(
        visit,
        "list.html",
        listing.title,
        message=refusal(problem) if problem else lists.of_dark(visit, listing.dark),
        status=status_of(problem) if problem else 200,
        listing=listing,
        buttons=buttons,
    )


def operation_address(table: Table, operation: Operation, sys_id: str | None) -> str:
    """Where an operation is asked for and done."""
    pairs = [("operation", operation.name), *([("sys_id", sys_id)] if sys_id else [])]
    return address(table.name, "do", pairs)


def _onward(visit: Visit, outcome: Outcome) -> str:
    """What to look at after an operation, as far as he may."""
    if outcome.table not in registry.TABLES:
        return "/"
    if not authority.may_see(visit.context.actor, outcome.table):
        return "/"
    if outcome.sys_id is None:
        return address(outcome.table, "list")
    return form_address(outcome.table, outcome.sys_id)


def _is_direct(operation: Operation) -> bool:
    return operation.parameters is Nothing and not operation.danger


def _buttons(
    visit: Visit, table: Table, operations: Sequence[Operation], row: Row | None
) -> list[Button]:
    actor, sys_id = visit.context.actor, row["sys_id"] if row else None
    out = []
    for operation in operations:
        right = OPERATIONS[operation.name]
        if not authority.may_elevated(actor, right) or (row and not operation.fits(row)):
            continue
        locked = not authority.may(actor, right)
        href = operation_address(table, operation, sys_id)
        out.append(Button(operation, href, _is_direct(operation) and not locked, locked))
    return out


def _related(visit: Visit, table: Table, sys_id: str) -> list[tuple[Listing, str]]:
    """Each related list with the address of all of it."""
    out = []
    for one in table.related:
        other = registry.TABLES[one.table]
        if not authority.may_see(visit.context.actor, other.name):
            continue
        asked = Asked(query=f"{one.field}={sys_id}", size=_RELATED_ROWS)
        usual = [f.name for f in other.fields if f.in_list and f.name != one.field]
        listing = lists.declared(visit.context, other, asked, usual)
        out.append((listing, Asked(query=asked.query).href(other.name)))
    return out


def _is_work(row: Row) -> bool:
    return {"done", "total", "state"} <= row.keys()


def progress_of(row: Row) -> tuple[int, int] | None:
    """How much is done and of how much, of a row that says so."""
    done, total = row.get("done"), row.get("total")
    if isinstance(done, int) and isinstance(total, int) and total > 0:
        return min(done, total), total
    return None


def _input(visit: Visit, one: Parameter, given: Sequence[str], text: str = "") -> Input:
    known = _known(visit, one)
    chosen = [(v, label) for v, label in known if v in given]
    found = [(v, label) for v, label in known if v not in given and _fits(text, v, label)]
    shown = (*chosen, *found[:_MOST_CHOICES]) if one.shape is Shape.REFERENCE else known
    options = tuple(Option(v, label, v in given) for v, label in shown)
    value = "" if one.shape is Shape.HIDDEN or not given else given[-1]
    return Input(one, value, options, len(found) > _MOST_CHOICES)


def _present(one: Parameter, row: Row) -> tuple[str, ...]:
    """What a parameter is before anybody types: the row's field of that name, or its default."""
    value = row.get(one.name)
    if value is None:
        return one.default
    return (str(value).lower(),) if isinstance(value, bool) else (str(value),)


def _known(visit: Visit, one: Parameter) -> Sequence[tuple[str, str]]:
    if one.shape is Shape.REFERENCE:
        names = Names(visit.context).of(one.reference)
        return sorted(names.items(), key=lambda found: found[1].lower())
    return one.ask(visit.context) if one.ask else one.choices


def _fits(text: str, value: str, label: str) -> bool:
    return text.lower() in label.lower() or text.lower() in value.lower()
