"""The attachments of records as one caller may use them.

Where a table's attachments are configured as encrypted, who may decrypt with the module reads them
and their names, and who may encrypt adds them; elsewhere they are plain, for everybody who is let
in. What is shown and what is refused is on record, written down later (`access.recorder`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, Connection

from keystead.access.decision import Asked, Operation
from keystead.access.permissions import Permissions, subject
from keystead.access.recorder import Recorder
from keystead.access.rejections import Refusals
from keystead.attachments import service as attachments
from keystead.attachments.incoming import Incoming
from keystead.attachments.model import Facts, place
from keystead.attachments.tables import ATTACHMENTS
from keystead.audit import log
from keystead.audit.entries import Detail
from keystead.base.errors import Conflict, Denied, Invalid, NotFound, Tampered, Unavailable
from keystead.base.secret import Secret
from keystead.crypto import wrap
from keystead.database.integrity import Fields
from keystead.database.model import Column, ColumnType, Table
from keystead.database.port import Database, Row
from keystead.database.query import Condition, Operator
from keystead.fields import service as fields
from keystead.fields.model import Configuration, Phase
from keystead.keys import service as keys
from keystead.keys.hierarchy import Hierarchy
from keystead.keys.usage import Meter, Use
from keystead.records.query import parse
from keystead.records.reading import View
from keystead.records.session import Caller

MEBIBYTE: Final = 1024 * 1024
_LONGEST_TEXT: Final = 255
_JOINERS: Final = dict.fromkeys((0x200C, 0x200D))  # they are part of some scripts and emoji
_HIDDEN: Final = Facts("", "", "")
_SEARCHED: Final = ("sys_id", "table_name", "table_sys_id")
_QUERIED: Final = Table(
    "sys_attachment", tuple(Column(n, ColumnType.TEXT) for n in _SEARCHED), ("sys_id",)
)


@dataclass(frozen=True, slots=True)
class Attachment:
    """An attachment as one caller may see it; `facts` are empty where he may not decrypt."""

    sys_id: str
    table: str
    table_sys_id: str
    size_bytes: int
    created_by: str
    created_at: str
    encrypted: bool
    facts: Facts


@dataclass(frozen=True, slots=True)
class Download:
    """An attachment and its clear content, to be read once."""

    attachment: Attachment
    chunks: Iterator[bytes]


class Desk:
    """Takes in and gives out attachments for one caller.

    `recorder` and `meter` are the process's; `limit` is the largest attachment, in MiB.
    """

    def __init__(
        self,
        database: Database,
        hierarchy: Hierarchy,
        recorder: Recorder,
        meter: Meter,
        caller: Caller,
        limit: int,
    ) -> None:
        self._database = database
        self._hierarchy = hierarchy
        self._recorder = recorder
        self._meter = meter
        self._caller = caller
        self._limit = limit

    def upload(
        self, table: str, record: str, file_name: str, content_type: str, size: int | None = None
    ) -> Upload:
        """Begin to take in a file for a record; `size` in bytes where it is known before.

        Raises:
            NotFound: when there is no such table or record.
            Denied: when the caller may not encrypt.
            Invalid: for a name or type that cannot be used, or a file that is too large.
        """
        _refuse_unfit("name", file_name)
        _refuse_unfit("type", content_type)
        self.refuse_too_large(size or 0)
        with self._asking(writing=True) as asked:
            view = asked.view(table)
            key = _stored_key(view, view.key_of(record))
            configuration = asked.configuration(table)
            if configuration is not None:
                asked.refuse_unless_encrypting(configuration)
                asked.encrypting_key(configuration)
            row = attachments.begin(asked.tx, table, key, asked.caller)
        return Upload(self, row, key, configuration, (file_name, content_type))

    def listed(self, query: str, limit: int, offset: int = 0) -> tuple[list[Attachment], int]:
        """The attachments that meet a query, oldest first, and how many there are in all.

        Raises:
            Invalid: when the query cannot be asked.
            Tampered: when one is not as it was written.
            Unavailable: when what was shown cannot be put on record.
        """
        where = _conditions(query)
        with self._showing() as asked:
            rows = attachments.listed(asked.tx, *where, limit=limit, offset=offset)
            return [asked.shown(row) for row in rows], attachments.count(asked.tx, *where)

    def of(self, table: str, record: str | None, limit: int) -> tuple[list[Attachment], int]:
        """The attachments of a table or of one record, oldest first, and how many there are in all.

        Raises:
            NotFound: when there is no such table.
            Tampered: when one is not as it was written.
            Unavailable: when what was shown cannot be put on record.
        """
        where = [ATTACHMENTS.c.table_name == table]
        with self._showing() as asked:
            view = asked.view(table)
            if record is not None:
                key = _stored_key(view, view.key_of(record))
                where.append(ATTACHMENTS.c.place == place(table, key))
            rows = attachments.listed(asked.tx, *where, limit=limit)
            return [asked.shown(row) for row in rows], attachments.count(asked.tx, *where)

    def one(self, attachment_id: str) -> Attachment:
        """One attachment.

        Raises:
            NotFound: when there is none.
            Tampered: when it is not as it was written.
            Unavailable: when what was shown cannot be put on record.
        """
        with self._showing() as asked:
            return asked.shown(attachments.get(asked.tx, attachment_id))

    def download(self, attachment_id: str) -> Download:
        """An attachment with its content.

        Raises:
            NotFound: when there is none, or its key is not held.
            Denied: when the caller may not decrypt.
            Tampered: here or while it is read, when it is not as it was written.
            Conflict: while it is read, when it was removed or encrypted meanwhile.
            Unavailable: when what was shown cannot be put on record.
            Denied, Unavailable: here or while it is read, when it is dark.
        """
        with self._asking() as asked:
            row = attachments.get(asked.tx, attachment_id)
            if not asked.may(row["table_name"], Operation.DECRYPT):
                raise Denied("attachment.denied", table=row["table_name"])
            key, ekek_id = asked.opened_key(row), asked.ekek_of(row)
            shown = asked.shown(row)
        if shown.encrypted:
            detail: Detail = {"table": shown.table, "by": self._caller.actor}
            self._recorder.show(asked.caller, "attachment.read", shown.sys_id, detail)
        chunks = self._opened(row, key, ekek_id, shown.size_bytes)
        # what does not open from its beginning is refused before anything is given out
        return Download(shown, _primed(chunks))

    def remove(self, attachment_id: str) -> None:
        """Remove an attachment; `attachments.clear` takes its pieces away later.

        Raises:
            NotFound: when there is none.
        """
        with self._asking(writing=True) as asked:
            row = attachments.get(asked.tx, attachment_id)
            attachments.remove(asked.tx, row)
            asked.note("attachment.remove", row)

    def refuse_too_large(self, size: int) -> None:
        """Refuse a file of more than the limit.

        Raises:
            Invalid: when it is.
        """
        if size > self._limit * MEBIBYTE:
            raise Invalid("attachment.too_large", limit=self._limit)

    def incoming(self, row: Fields, key: Secret | None) -> Incoming:
        """Where the content of an upload goes."""
        return Incoming(
            self._database, row, row["sys_id"], key, lambda tx: attachments.touch(tx, row)
        )

    def keep(
        self, row: Fields, record: Row, was: Configuration | None, key: Secret | None, facts: Facts
    ) -> Attachment:
        """Make an upload ready, if all that was asked when it began still holds."""
        with Use(self._meter) as use, self._asking(writing=True) as asked:
            table = str(row["table_name"])
            _stored_key(asked.view(table), record)
            configuration = asked.configuration(table)
            if (configuration is None) != (was is None):
                raise Conflict("attachment.reconfigured", table=table)
            wrapped: Fields = {}
            if configuration is not None and key is not None:
                asked.refuse_unless_encrypting(configuration)
                key_row = asked.encrypting_key(configuration)
                use.take(asked.tx, key_row["sys_id"], 1)
                wrapped = attachments.wrapped_by(
                    asked.tx, self._hierarchy, key_row, key, row["sys_id"]
                )
                fields.note_key(asked.tx, self._hierarchy, configuration, wrapped["key_id"])
            sealed = attachments.sealed_facts(row, key, facts)
            ready = {**row, **wrapped, "facts": sealed}
            if attachments.facts_of(ready, key) != facts:
                raise attachments.tampered(row)
            attachments.make_ready(
                asked.tx, row, **wrapped, facts=sealed, size_bytes=row["size_bytes"]
            )
            asked.note("attachment.add", ready)
            return asked.shown(ready)

    def give_up(self, row: Fields) -> None:
        """End an upload; `attachments.clear` takes its pieces away later."""
        with suppress(Conflict), self._database.transaction() as tx:
            attachments.give_up(tx, row)

    def _opened(
        self, row: Fields, key: Secret | None, ekek_id: str | None, size: int
    ) -> Iterator[bytes]:
        given = 0
        try:
            for chunk in attachments.chunks(attachments.source(self._database, row, key)):
                refusal = None if ekek_id is None else self._hierarchy.ekeks.refusal(ekek_id)
                if refusal is not None:
                    raise refusal
                given += len(chunk)
                yield chunk
            if given != size:
                raise attachments.tampered(row)
        except Tampered:
            with self._database.snapshot() as tx:
                self._refuse_changed(tx, row)
            raise attachments.tampered(row) from None

    def _refuse_changed(self, tx: Connection, row: Fields) -> None:
        try:
            same = attachments.get(tx, row["sys_id"])["content_id"] == row["content_id"]
        except NotFound:
            same = False
        if not same:
            raise Conflict("attachment.changed", attachment=row["sys_id"])

    @contextmanager
    def _asking(self, *, writing: bool = False) -> Iterator[_Asked]:
        begin = self._database.transaction if writing else self._database.snapshot
        with self._recorder.refusals(self._caller.actor) as refusals, begin() as tx:
            yield _Asked(tx, self._database, self._hierarchy, self._caller, refusals)

    @contextmanager
    def _showing(self) -> Iterator[_Asked]:
        """The same to read, with an entry when facts were opened."""
        with self._asking() as asked:
            yield asked
        if asked.opened:
            tables, number = ", ".join(sorted(asked.opened)), asked.opened.total()
            detail: Detail = {"attachments": number, "by": self._caller.actor}
            self._recorder.show(asked.caller, "attachment.show", tables, detail)


class Upload:
    """A file on its way in, for one caller. What ends it otherwise than `finish` leaves nothing."""

    def __init__(
        self,
        desk: Desk,
        row: Fields,
        record: Row,
        configuration: Configuration | None,
        said: tuple[str, str],
    ) -> None:
        self._desk = desk
        self._row = row
        self._record = record
        self._configuration = configuration
        self._said = said
        self._key = None if configuration is None else wrap.new_key()
        self._incoming = desk.incoming(row, self._key)

    def write(self, data: bytes) -> None:
        """Take the next bytes.

        Raises:
            Invalid: when the file gets too large.
            Conflict: when the record is gone.
        """
        self._desk.refuse_too_large(self._incoming.size + len(data))
        self._incoming.write(data)

    def finish(self) -> Attachment:
        """Open what was written, and show it.

        Raises:
            Conflict: when the record is gone, or its attachments were configured meanwhile.
            Denied: when the caller may not encrypt any more.
            Tampered: when what was written does not come back.
        """
        facts = Facts(*self._said, sha256=self._incoming.finish())
        row = {**self._row, "size_bytes": self._incoming.size}
        return self._desk.keep(row, self._record, self._configuration, self._key, facts)

    def give_up(self) -> None:
        """Let nothing come of it."""
        self._desk.give_up(self._row)

    @contextmanager
    def giving_up(self) -> Iterator[Upload]:
        """Give the upload up when the block raises."""
        try:
            yield self
        except BaseException:
            self.give_up()
            raise


class _Asked:
    """One request of one caller, in one transaction.

    `opened` counts by table the encrypted attachments of which he was shown the facts.
    """

    def __init__(
        self,
        tx: Connection,
        database: Database,
        hierarchy: Hierarchy,
        caller: Caller,
        refusals: Refusals,
    ) -> None:
        self.tx = tx
        self._database = database
        self._hierarchy = hierarchy
        self._actor = caller.actor
        asking = subject(tx, hierarchy.integrity, caller.user, impersonate=caller.impersonate)
        self.caller = asking.caller
        self.opened: Counter[str] = Counter()
        self._permissions = Permissions(tx, hierarchy.integrity, asking, refusals)
        self._configurations: dict[str, Configuration | None] = {}

    def view(self, table: str) -> View:
        """A table as the caller may see it."""
        return View(self.tx, self._database, self._hierarchy, table, self._permissions)

    def configuration(self, table: str) -> Configuration | None:
        """How the attachments of a table are encrypted; None where they are plain."""
        if table not in self._configurations:
            found = fields.attachments(self.tx, self._hierarchy, table)
            self._configurations[table] = found[0] if found else None
        return self._configurations[table]

    def may(self, table: str, operation: Asked) -> bool:
        """Whether the caller may; a refusal is noted."""
        configuration = self.configuration(table)
        if configuration is None:
            return True
        module = keys.module_of(self.tx, self._hierarchy, configuration.module_id)
        return self._permissions.allows(keys.guarded(module), configuration.spec_id, operation)

    def refuse_unless_encrypting(self, configuration: Configuration) -> None:
        """Refuse who may not add attachments."""
        if not self.may(configuration.table, Operation.ENCRYPT):
            raise Denied("attachment.write_denied", table=configuration.table)

    def encrypting_key(self, configuration: Configuration) -> Fields:
        """The module key that wraps new attachments."""
        return keys.encrypting_key(self.tx, self._hierarchy, configuration.spec_id, self.caller)

    def opened_key(self, row: Fields) -> Secret | None:
        """An attachment's key; None where it is plain, and may be."""
        configuration = self.configuration(row["table_name"])
        key = attachments.opened_key(self.tx, self._hierarchy, row)
        sealed = configuration is not None and configuration.phase is Phase.SEALED
        if (key is None and sealed) or (key is not None and configuration is None):
            raise attachments.tampered(row)
        return key

    def ekek_of(self, row: Fields) -> str | None:
        """The id of the EKEK above an attachment's key; None where none is."""
        if row["key_id"] is None:
            return None
        ekek_id: str | None = keys.key(self.tx, self._hierarchy, row["key_id"])["ekek_id"]
        return ekek_id

    def shown(self, row: Fields) -> Attachment:
        """An attachment with what the caller may know of it."""
        facts = _HIDDEN
        if self.may(row["table_name"], Operation.DECRYPT):
            facts = self._facts(row)
        return Attachment(
            sys_id=row["sys_id"],
            table=row["table_name"],
            table_sys_id=row["table_sys_id"],
            size_bytes=int(row["size_bytes"]),
            created_by=row["created_by"],
            created_at=row["created_at"],
            encrypted=row["key_id"] is not None,
            facts=facts,
        )

    def _facts(self, row: Fields) -> Facts:
        try:
            key = self.opened_key(row)
        except (NotFound, Denied, Unavailable):
            # its key is known, and not held here or dark: shown empty, as a value is
            return _HIDDEN
        if key is not None:
            self.opened[row["table_name"]] += 1
        return attachments.facts_of(row, key)

    def note(self, action: str, row: Fields) -> None:
        """Write into the audit log what was done."""
        table, key_id = str(row["table_name"]), row["key_id"]
        log.record(
            self.tx, self.caller, action, row["sys_id"], table=table, key=key_id, by=self._actor
        )


def _stored_key(view: View, key: Row) -> Row:
    """The key of a record in the form that the table keeps.

    Raises:
        NotFound: when there is no such record.
    """
    return view.one(key, view.table.primary_key).keys[0]


def _refuse_unfit(what: str, text: str) -> None:
    fitting = _FITTING[what](text)
    if not (fitting and 1 <= len(text) <= _LONGEST_TEXT and text == text.strip()):
        raise Invalid("attachment.name", name=text[:_LONGEST_TEXT], what=what)


def _is_file_name(text: str) -> bool:
    """Whether a name can be a file's and be shown in one line, in the order it is written."""
    visible = text.translate(_JOINERS)
    return visible.isprintable() and not {"/", "\\"} & set(text) and text.strip(".") != ""


_FITTING: Final[dict[str, Callable[[str], bool]]] = {
    "name": _is_file_name,
    "type": lambda text: text.isascii() and text.isprintable() and "/" in text,
}


def _conditions(query: str) -> list[ColumnElement[bool]]:
    """What a query asks of the rows: conditions that must all hold.

    Raises:
        Invalid: for anything else.
    """
    try:
        parsed = parse(query, _QUERIED)
    except NotFound as error:
        column = error.facts.get("column")
        raise Invalid("attachment.query", reason=f"'{column}' cannot be compared") from None
    if len(parsed.blocks) > 1 or any(len(group) > 1 for b in parsed.blocks for group in b):
        raise Invalid("attachment.query", reason="all conditions must hold")
    if any(order.column != "sys_id" or order.descending for order in parsed.order):
        raise Invalid("attachment.query", reason="they come in the order of their sys_id")
    return [_compared(condition) for condition in parsed.conditions]


def _compared(condition: Condition) -> ColumnElement[bool]:
    if condition.operator not in (Operator.EQUAL, Operator.IN):
        raise Invalid("attachment.query", reason=f"'{condition.operator}' is not understood")
    return ATTACHMENTS.c[condition.column].in_(condition.values)


def _primed(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The same chunks, the first of them read at once."""
    first = next(chunks, None)

    def rest() -> Iterator[bytes]:
        if first is not None:
            yield first
        yield from chunks

    return rest()
