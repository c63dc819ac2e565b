"""An application's link to its instance, shared by all its threads and event loops.

The instance is asked in short transactions of its own, never in the application's; only attachments
move and go with their rows, in the transaction that moves or deletes these. What writes in the
instance (noting a key, reserving its use) is done before the application's transaction begins,
as far as that can be foreseen, and refusals are written by a thread
(`access.recorder`): on SQLite the application's
transaction may hold the lock on the very file.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from threading import Lock
from typing import Final, NoReturn, TypeVar

from sqlalchemy import Connection
from sqlalchemy.util.concurrency import await_only, in_greenlet

from keystead.access.recorder import Recorder
from keystead.access.rejections import Refusals
from keystead.attachments import service as attachments
from keystead.base.errors import Conflict
from keystead.crypto.envelope import Scheme
from keystead.database.port import Row
from keystead.fields import service as fields
from keystead.instance.opening import Instance
from keystead.keys import service as keys
from keystead.keys.model import KeyState
from keystead.keys.usage import Meter
from keystead.sqlalchemy.column import DECLARED
from keystead.sqlalchemy.knowledge import (
    Columns,
    KnownColumn,
    Name,
    Rights,
    is_fresh,
    read_columns,
    read_rights,
)

_COUNTED: Final = Scheme.STANDARD  # equality preserving values are not counted
_MOST_CALLERS: Final = 1_000
_NO_MORE: Final = frozenset({KeyState.SUSPENDED, KeyState.REVOKED, KeyState.DESTROYED})
Used = dict[str, float]
_Answer = TypeVar("_Answer")


class Link:
    """What an application knows of its instance, and what it writes there."""

    def __init__(self, instance: Instance, lease: int) -> None:
        self._instance = instance
        self._database = instance.database
        self._hierarchy = instance.hierarchy
        self._lease = lease
        self._meter = Meter(instance.database, instance.hierarchy, lease=lease)
        self._columns: Columns | None = None
        self._rights: dict[tuple[str | None, str | None], Rights] = {}
        self._lock = Lock()
        self._recorder = Recorder(instance.database)

    def close(self) -> None:
        """Write down what was refused, and close the instance.

        Raises:
            Unavailable: when it cannot be written; the instance is closed then too.
        """
        try:
            self._recorder.close()
        finally:
            self._instance.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError("an open instance holds keys and is not pickled")

    def columns(self) -> Columns:
        """What is known of the declared columns, at most a second old."""
        names = frozenset(of.where for of in list(DECLARED) if of.is_placed)
        known = self._columns
        if known is not None and known.is_fresh(names):
            return known
        return _aside(lambda: self._read(names))

    def rights(self, columns: Columns, user: str | None, impersonate: str | None) -> Rights:
        """What a caller may do, at most a second old."""
        key = (user, impersonate)
        known = self._rights.get(key)
        if known is None or not is_fresh(known.moment) or not known.is_about(columns):
            known = _aside(lambda: self._read_rights(columns, user, impersonate, known))
            if len(self._rights) >= _MOST_CALLERS:
                self._rights.clear()
            self._rights[key] = known
        return known

    def prepare(self, names: Iterable[Name], caller: str) -> None:
        """Note the keys that encrypt in these columns, and reserve half a lease of their use."""
        known = self.columns()
        chosen = [known.by_name[name] for name in names]
        waiting = [c for c in chosen if not c.is_ready]
        if waiting:
            _aside(lambda: self._note(waiting, caller))
            known = self.columns()
            chosen = [known.by_name[name] for name in names]
        counted = {c.key_id for c in chosen if c.key_id and c.configuration.scheme is _COUNTED}
        if counted:
            _aside(lambda: self._reserve(counted))

    def take(self, key_id: str, values: int) -> None:
        """Use up so many encryptions.

        Raises:
            Conflict: when the key may not encrypt so often any more.
        """
        _aside(lambda: self._meter.take(key_id, values))

    def refuse_ended(self, used: Used) -> None:
        """Refuse to commit values under a key that may not be used any more.

        `used` says how old the knowledge was under which each key sealed.

        Raises:
            Conflict: naming the key.
        """
        if all(is_fresh(moment) for moment in used.values()):
            return
        ended = _aside(lambda: self._ended(used))
        if ended is not None:
            raise Conflict("key.overtaken", key=ended)

    def has_attachments(self, table: str) -> bool:
        """Whether any row of a table has attachments, as of now."""

        def asked() -> bool:
            with self._database.snapshot() as tx:
                return attachments.are_on(tx, table)

        return _aside(asked)

    def follow(self, tx: Connection, table: str, old: Row, new: Row) -> None:
        """Let attachments go with a row to its new key, in the application's transaction.

        Raises:
            NotFound, Tampered: when what binds one cannot be opened.
        """
        with self._database.snapshot() as own:
            attachments.follow(tx, self._hierarchy, table, old, new, keys_in=own)

    def note(self, refusals: Refusals, actor: str) -> None:
        """Have refusals written down soon."""
        with self._recorder.refusals(actor) as noted:
            noted.add(refusals)

    def _read(self, names: frozenset[Name]) -> Columns:
        with self._lock:
            known = self._columns
            if known is None or not known.is_fresh(names):
                with self._database.snapshot() as tx:
                    known = self._columns = read_columns(
                        tx, self._database, self._hierarchy, names, known
                    )
            return known

    def _read_rights(
        self, columns: Columns, user: str | None, impersonate: str | None, known: Rights | None
    ) -> Rights:
        with self._database.snapshot() as tx:
            return read_rights(tx, self._hierarchy, columns, user, impersonate, known)

    def _note(self, columns: Sequence[KnownColumn], caller: str) -> None:
        with self._database.transaction() as tx:
            for column in columns:
                of = column.configuration
                key = keys.encrypting_key(tx, self._hierarchy, of.spec_id, caller)
                fields.note_key(tx, self._hierarchy, of, key["sys_id"])
        with self._lock:
            self._columns = None

    def _reserve(self, key_ids: Iterable[str]) -> None:
        for key_id in key_ids:
            self._meter.ensure(key_id, self._lease // 2)

    def _ended(self, used: Iterable[str]) -> str | None:
        with self._database.snapshot() as tx:
            for key_id in used:
                if KeyState(keys.key(tx, self._hierarchy, key_id)["state"]) in _NO_MORE:
                    return key_id
        return None


def _aside(work: Callable[[], _Answer]) -> _Answer:
    """Do what waits for the instance's database; in an event loop, without stopping the loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return work()
    return await_only(asyncio.to_thread(work)) if in_greenlet() else work()
