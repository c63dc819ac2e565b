"""Exit codes: one for each family of errors. 0 is success, 2 a wrong command line."""

from __future__ import annotations

from typing import Final

EXIT_CODES: Final[dict[str, int]] = {
    "invalid": 3,
    "denied": 4,
    "not_found": 5,
    "conflict": 6,
    "illegal_transition": 7,
    "tampered": 8,
    "unavailable": 9,
    "misconfigured": 10,
}
UNEXPECTED: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130
