"""Encrypted columns with their opened keys, kept while nothing that they come from has changed.

Opening the keys of a column costs more than opening a value. Every change of a configuration or a
key moves an anchor, so a change of a key's state is seen by the next transaction. The keys stay in
memory for a minute at most. A column some of whose keys are dark is opened anew each time, so that
it is there again as soon as they are.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from keystead.external.tables import CONFIGURATIONS as EXTERNAL
from keystead.external.tables import STATUSES
from keystead.fields.model import Configuration
from keystead.fields.tables import COLUMN_KEYS, CONFIGURATIONS
from keystead.fields.values import EncryptedColumn
from keystead.keys.hierarchy import Hierarchy
from keystead.keys.tables import KEYS

SECONDS: Final = 60.0
_SOURCES: Final = (CONFIGURATIONS, COLUMN_KEYS, KEYS, EXTERNAL, STATUSES)


@dataclass(frozen=True, slots=True)
class _Kept:
    state: tuple[str, ...]
    since: float
    column: EncryptedColumn


class OpenedColumns:
    """The columns of one instance that one process has opened. Safe for several threads."""

    def __init__(self, hierarchy: Hierarchy) -> None:
        self._hierarchy = hierarchy
        self._kept: dict[str, _Kept] = {}

    def column(self, tx: Connection, configuration: Configuration) -> EncryptedColumn:
        """An encrypted column with its keys as they are now.

        Raises:
            Tampered: when a row that decides about them is not as it was written.
        """
        state = self._hierarchy.integrity.state(tx, *_SOURCES)
        now = time.monotonic()
        kept = self._kept.get(configuration.sys_id)
        if kept is None or kept.state != state or now >= kept.since + SECONDS:
            opened = EncryptedColumn(tx, self._hierarchy, configuration)
            if opened.is_dark:
                return opened
            kept = _Kept(state, now, opened)
            self._kept[configuration.sys_id] = kept
        return kept.column
