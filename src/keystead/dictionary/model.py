"""What a table, a field and an operation are, to people and to programs that call the API.

A capability declares its tables; navigator, lists, forms, look-ups, buttons, routes and the OpenAPI
document follow from the declarations. Nothing here draws or speaks HTTP.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta
from sqlalchemy import Connection

from keystead.access.authority import Actor
from keystead.exchange.peers import PeerChannel
from keystead.instance.opening import Instance

Row = Mapping[str, Any]  # texts, whole numbers, booleans, None; `sys_id` is always there


class Kind(StrEnum):
    """How a field is shown, sorted and put in."""

    TEXT = "text"
    LONG_TEXT = "long text"
    NUMBER = "number"
    YES_NO = "true or false"
    MOMENT = "date and time"
    CHOICE = "choice"
    STATE = "state"
    REFERENCE = "reference"
    ID = "id"


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a table.

    `reference` names the table that a reference points to by its `sys_id`. `tones` give states a
    meaning: good, busy, warn or bad.
    """

    name: str
    label: str
    kind: Kind = Kind.TEXT
    help: str = ""
    reference: str | None = None
    choices: tuple[str, ...] = ()
    tones: Mapping[str, str] = field(default_factory=dict)
    in_list: bool = True


@dataclass(frozen=True, slots=True)
class Context:
    """Where something is asked or done, and by whom. `channel` reaches peers."""

    instance: Instance
    actor: Actor
    channel: PeerChannel


class Nothing(msgspec.Struct, forbid_unknown_fields=True):
    """The parameters of an operation that has none."""


class Reason(msgspec.Struct, forbid_unknown_fields=True):
    """Why something is done."""

    reason: Annotated[
        str,
        Meta(title="Reason", description="One line, kept and audited.", max_length=200),
    ]


@dataclass(frozen=True, slots=True)
class Report:
    """What an operation found out, as a table; each row has a cell for each column."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | int | bool | None, ...], ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an operation did: one line for the person, and what to look at next."""

    message: str
    table: str
    sys_id: str | None = None
    job: str | None = None
    shown_once: Mapping[str, str] = field(default_factory=dict)
    report: Report | None = None


@dataclass(frozen=True, slots=True)
class Operation:
    """Something that can be done; `name` is its entry in `access.authority`.

    `parameters` is a `msgspec.Struct` whose fields are annotated with `msgspec.Meta`: `title`,
    `description`, lengths, and in `extra` a `reference` (a table's name), `choices` (a function of
    the context) or `secret: True`. `run` is given the row it is done to, or an empty one for an
    operation on the table, opens its own transactions, and raises the errors of the domain.
    `fits` says for which rows it is offered; whether it can be done is decided by `run` again.
    `danger` asks for confirmation with that text, and `before` with what it will affect.
    """

    name: str
    label: str
    summary: str
    run: Callable[[Context, Row, Any], Outcome]
    parameters: type[msgspec.Struct] = Nothing
    fits: Callable[[Row], bool] = lambda _row: True
    danger: str = ""
    before: Callable[[Context, Row], Report | None] = lambda _context, _row: None

    @property
    def verb(self) -> str:
        """The last word of its name, as a path has it."""
        return self.name.rpartition(".")[2]


@dataclass(frozen=True, slots=True)
class Related:
    """A list of another table's rows below a form: those whose field holds this row's `sys_id`."""

    table: str
    field: str


@dataclass(frozen=True, slots=True)
class Table:
    """A table as people see it. `rows` reads all of them, verified, in the order of its list.

    `path` is its name in the API; `display` the field that names a row. `create` is the operation
    behind New, `operations` the buttons on a form, `actions` those on the list. Where there may be
    too many rows, `rows` reads the newest `limit`, and `by_id` reads any, or gives None.

    The audit log names a row by its `sys_id`, or by the field `subject`: then, since things of
    another table may have the same name, in actions whose first word is one of `topics`.
    """

    name: str
    path: str
    label: str
    plural: str
    summary: str
    fields: tuple[Field, ...]
    rows: Callable[[Connection, Context], Sequence[Row]]
    display: str = "sys_id"
    create: Operation | None = None
    operations: tuple[Operation, ...] = ()
    actions: tuple[Operation, ...] = ()
    related: tuple[Related, ...] = ()
    empty: str = "Nothing yet."
    limit: int | None = None
    subject: str = "sys_id"
    topics: tuple[str, ...] = ()
    by_id: Callable[[Connection, Context, str], Row | None] | None = None

    @property
    def every_operation(self) -> tuple[Operation, ...]:
        """All that can be done with it."""
        made = (self.create,) if self.create else ()
        return (*made, *self.actions, *self.operations)

    def field(self, name: str) -> Field | None:
        """The field of that name."""
        return next((f for f in self.fields if f.name == name), None)


@dataclass(frozen=True, slots=True)
class Menu:
    """An application of the navigator, with the names of its tables in order."""

    label: str
    tables: tuple[str, ...]


EMPTY_ROW: Final[Row] = {}
