"""Pages about business tables: lists, forms that write, and attachments."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from litestar import Response

from keystead.base.errors import Conflict, KeysteadError
from keystead.database.model import Column, ColumnType, key_text
from keystead.database.port import Row, Value
from keystead.delivery.api.errors import status_of
from keystead.delivery.console import lists
from keystead.delivery.console.asked import Asked, address, form_address
from keystead.delivery.console.entrance import refusal
from keystead.delivery.console.frame import Frame, Message, Visit
from keystead.delivery.console.parameters import Given
from keystead.delivery.console.tables import list_page
from keystead.records.attached import Attachment, Desk
from keystead.records.reading import View
from keystead.records.session import Caller, Records

_VALUE: Final = "value."
_SEEN: Final = "seen"
_LINE: Final = 80  # a longer text gets several lines
_MOST_ATTACHMENTS: Final = 50
Desks = Callable[[Caller], Desk]


@dataclass(frozen=True, slots=True)
class Part:
    """A column on a form: what is in it, and whether and how it can be written."""

    name: str
    value: str
    writable: bool
    note: str
    lines: int
    numeric: bool
    required: bool


class RecordPages:
    """What is shown of business tables, and how people write them: as themselves."""

    def __init__(self, frame: Frame, records: Records, desks: Desks) -> None:
        self._frame = frame
        self._records = records
        self._desks = desks

    def list(self, visit: Visit, table: str, asked: Asked, chosen: Sequence[str]) -> Response[str]:
        """The list of a table."""
        listing = lists.business(self._records, visit.caller, table, asked, chosen)
        return list_page(self._frame, visit, listing)

    def form(self, visit: Visit, table: str, sys_id: str) -> Response[str]:
        """One record."""
        with self._records.reading(visit.caller, table) as view:
            key = view.key_of(sys_id)
            row, dark = _shown(view, key)
            parts, seen = _parts(view, row, dark), _seen(visit, row)
        attached, count = self._desk(visit).of(table, sys_id, _MOST_ATTACHMENTS)
        message = lists.of_dark(visit, dark.values())
        return self._drawn(visit, table, sys_id, parts, seen, attached, count, message=message)

    def new(self, visit: Visit, table: str) -> Response[str]:
        """An empty form for a new record."""
        with self._records.reading(visit.caller, table) as view:
            parts = _parts(view, None)
        return self._drawn(visit, table, None, parts, "", (), 0)

    def insert(self, visit: Visit, table: str, form: Given) -> Response[str]:
        """Make a record; what was left empty is left to the database."""
        given = {n: text for n, text in _values(form).items() if text != ""}
        try:
            with self._records.writing(visit.caller, table) as writing:
                key = writing.insert(given)
        except KeysteadError as error:
            with self._records.reading(visit.caller, table) as view:
                parts = _parts(view, None, typed=given)
            return self._drawn(visit, table, None, parts, "", (), 0, error)
        return self._frame.go(form_address(table, key_text(key)), Message("The record is made."))

    def save(self, visit: Visit, table: str, sys_id: str, form: Given) -> Response[str]:
        """Write what was changed on the form, unless somebody else wrote the record meanwhile."""
        given, seen = _values(form), form.get(_SEEN, ("",))[-1]
        try:
            with self._records.writing(visit.caller, table) as writing:
                view = writing.view
                key = view.key_of(sys_id)
                row, _ = _shown(view, key)
                changed = {
                    n: text for n, text in given.items() if n in row and text != _on_form(row[n])
                }
                if changed and seen != _seen(visit, row):
                    raise Conflict("console.changed")
                if changed:
                    key = writing.update(key, changed)
        except KeysteadError as error:
            return self._mending(visit, table, sys_id, given, error)
        said = f"Saved: {', '.join(changed)}." if changed else "Nothing was changed."
        return self._frame.go(form_address(table, key_text(key)), Message(said))

    def ask_delete(self, visit: Visit, table: str, sys_id: str) -> Response[str]:
        """Ask whether a record shall be deleted."""
        with self._records.reading(visit.caller, table) as view:
            view.one(view.key_of(sys_id), view.table.primary_key)
        return self._frame.page(
            visit, "delete.html", f"Delete: {table} {sys_id}", table=table, sys_id=sys_id
        )

    def delete(self, visit: Visit, table: str, sys_id: str) -> Response[str]:
        """Delete a record."""
        with self._records.writing(visit.caller, table) as writing:
            writing.delete(writing.view.key_of(sys_id))
        said = Message(f"The record '{sys_id}' is deleted.")
        return self._frame.go(address(table, "list"), said)

    def remove_attachment(self, visit: Visit, attachment_id: str) -> Response[str]:
        """Remove an attachment and show its record again."""
        desk = self._desk(visit)
        found = desk.one(attachment_id)
        desk.remove(attachment_id)
        said = Message("The attachment is removed.")
        return self._frame.go(form_address(found.table, found.table_sys_id), said)

    def _desk(self, visit: Visit) -> Desk:
        return self._desks(visit.caller)

    def _mending(
        self, visit: Visit, table: str, sys_id: str, given: dict[str, str], error: KeysteadError
    ) -> Response[str]:
        """The form again, with what was typed and what is there now."""
        with self._records.reading(visit.caller, table) as view:
            row, dark = _shown(view, view.key_of(sys_id))
            parts, seen = _parts(view, row, dark, given), _seen(visit, row)
        return self._drawn(visit, table, sys_id, parts, seen, (), 0, error)

    def _drawn(
        self,
        visit: Visit,
        table: str,
        sys_id: str | None,
        parts: Sequence[Part],
        seen: str,
        attached: Sequence[Attachment],
        count: int,
        error: KeysteadError | None = None,
        message: Message | None = None,
    ) -> Response[str]:
        return self._frame.page(
            visit,
            "record.html",
            f"{table} {sys_id}" if sys_id else f"New: {table}",
            message=refusal(error) if error else message,
            status=status_of(error) if error else 200,
            table=table,
            sys_id=sys_id,
            parts=parts,
            seen=seen,
            attached=attached,
            attached_count=count,
        )


def _shown(view: View, key: Row) -> tuple[dict[str, Value], dict[str, KeysteadError]]:
    """The values of a record, and why those are empty that cannot be opened."""
    shown = view.one(key)
    dark = {name: why for (_, name), why in shown.dark.items()}
    return dict(zip(shown.columns, shown.rows[0], strict=True)), dark


def _seen(visit: Visit, row: dict[str, Value]) -> str:
    """What tells whether a record is as it was shown; it is of use to this session alone."""
    told: list[Any] = [visit.session.csrf, *([n, _text(v)] for n, v in row.items())]
    return hashlib.sha256(msgspec.json.encode(told)).hexdigest()


def _values(form: Given) -> dict[str, str]:
    return {
        name.removeprefix(_VALUE): _lines(texts[-1])
        for name, texts in form.items()
        if name.startswith(_VALUE)
    }


def _parts(
    view: View,
    row: dict[str, Value] | None,
    dark: Collection[str] = (),
    typed: dict[str, str] | None = None,
) -> list[Part]:
    return [
        _part(view, column, row, typed or {}, is_dark=column.name in dark)
        for column in view.table.columns
    ]


def _part(
    view: View,
    column: Column,
    row: dict[str, Value] | None,
    typed: dict[str, str],
    *,
    is_dark: bool,
) -> Part:
    name = column.name
    is_key, encrypted = name in view.table.primary_key, view.visible.is_encrypted(name)
    effect = view.visible.effect(name)
    now = _text(row[name]) if row is not None else ""
    value = typed.get(name, _on_form(now))
    fits = _can_be_typed(now)
    fixed = column.generated or is_dark or (is_key and row is not None)
    writable = effect.writable and fits and not fixed
    configuration = view.visible.encrypted.get(name)
    type = configuration.original_type if configuration else column.type
    notes = (
        ("key" if is_key else ""),
        ("computed" if column.generated else ""),
        ("encrypted" if encrypted else ""),
        ("not shown to you" if not effect.readable else ""),
        ("cannot be opened now" if is_dark else ""),
        ("has characters that a form would change" if not fits else ""),
    )
    return Part(
        name,
        value,
        writable,
        ", ".join(note for note in notes if note),
        min(12, value.count("\n") + len(value) // _LINE + 1),
        type == ColumnType.INTEGER,
        not column.nullable and not is_key,
    )


def _text(value: Value) -> str:
    return "" if value is None else str(value)


def _lines(text: str) -> str:
    """A text with line ends as a form sends them."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _on_form(value: Value) -> str:
    return _lines(_text(value))


def _can_be_typed(text: str) -> bool:
    """Whether a browser would send the text back as it is, but for its line ends."""
    return all(c in "\t\n\r" or not _is_control(c) for c in text)


def _is_control(character: str) -> bool:
    return (
        ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0 or 0xD800 <= ord(character) < 0xE000
    )
