"""Key bytes in a wrapper that does not leak.

Opening one needs `REVEAL`, so `grep -rn REVEAL src` lists every place that sees raw key bytes.
"""

from __future__ import annotations

from typing import Final, NoReturn, final


@final
class RevealCapability:
    """Proof that the caller means to see key bytes. There is one: `REVEAL`."""

    __slots__ = ()


REVEAL: Final = RevealCapability()


@final
class Secret:
    """Bytes that print nothing, do not pickle and are not compared by accident."""

    __slots__ = ("_bytes",)

    def __init__(self, value: bytes) -> None:
        self._bytes = bytes(value)

    def reveal(self, capability: RevealCapability) -> bytes:
        """The bytes themselves.

        Raises:
            TypeError: without the capability.
        """
        if capability is not REVEAL:
            raise TypeError("revealing a secret needs the REVEAL capability")
        return self._bytes

    def split(self, at: int) -> tuple[Secret, Secret]:
        """The first `at` bytes, and the rest."""
        return Secret(self._bytes[:at]), Secret(self._bytes[at:])

    def __len__(self) -> int:
        return len(self._bytes)

    def __repr__(self) -> str:
        return "Secret(...)"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        raise TypeError("secrets are not compared; reveal them and use constant time")

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> NoReturn:
        raise TypeError("secrets do not pickle")
