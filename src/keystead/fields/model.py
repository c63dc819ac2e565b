"""Encrypted fields: the phases of a column, and what a configuration says."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from keystead.crypto.envelope import Scheme


class Phase(StrEnum):
    """Whether a column may still hold plain text (envelope format, clause 7.4)."""

    MIXED = "mixed"
    SEALED = "sealed"


@dataclass(frozen=True, slots=True)
class Configuration:
    """One encrypted column. `table` and `column` are its binding names."""

    sys_id: str
    table: str
    column: str
    module_id: str
    spec_id: str
    scheme: Scheme
    phase: Phase
    original_type: str
