"""What a caller sees of an encrypted column, and whether he may write it: one table for all."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

MASK: Final = "********"


class Form(StrEnum):
    """In which form values are shown."""

    EMPTY = "empty"
    MASKED = "asterisks"
    CLEAR = "clear"


@dataclass(frozen=True, slots=True)
class Effect:
    """How a column appears to one caller. Hidden forms are the same for every value, NULL too."""

    form: Form
    writable: bool

    @property
    def readable(self) -> bool:
        """Whether clear values are shown."""
        return self.form is Form.CLEAR

    @property
    def placeholder(self) -> str:
        """What stands in place of every value that is not shown."""
        return MASK if self.form is Form.MASKED else ""


NORMAL: Final = Effect(Form.CLEAR, writable=True)

# may encrypt, may decrypt
EFFECTS: Final[dict[tuple[bool, bool], Effect]] = {
    (False, False): Effect(Form.EMPTY, writable=False),
    (True, False): Effect(Form.MASKED, writable=True),
    (False, True): Effect(Form.CLEAR, writable=False),
    (True, True): NORMAL,
}
