"""Encrypted fields: the phases of a column, and what a configuration says."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from keystead.crypto.envelope import Scheme

# the type of a configuration that is about the attachments of a table, and what stands in place of
# its column: no column of a table that is made here can be called that
ATTACHMENT: Final = "attachment"
ATTACHMENTS: Final = "[attachments]"


class Phase(StrEnum):
    """Whether a column may still hold plain text (envelope format, clause 7.4)."""

    MIXED = "mixed"
    SEALED = "sealed"


@dataclass(frozen=True, slots=True)
class Configuration:
    """One encrypted column. `table` and `column` are its binding names.

    For the attachments of a table `column` is `ATTACHMENTS`.
    """

    sys_id: str
    table: str
    column: str
    module_id: str
    spec_id: str
    scheme: Scheme
    phase: Phase
    original_type: str


@dataclass(frozen=True, slots=True)
class Preview:
    """What encrypting a column would come to: its mode, and how many values there are to encrypt.

    `empty` are NULL and empty texts, which stay as they are.
    """

    mode: str
    original_type: str
    plain: int
    empty: int
