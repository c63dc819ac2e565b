"""What the contract suite asks of whoever stands behind a provider: a key that can be acted on."""

from __future__ import annotations

from typing import Final, Protocol

from keystead.external.provider import Provider, Settings

PATIENCE: Final = 60.0
"""Seconds for a call that is answered at once, on a machine that is busy."""


class Subject(Protocol):
    """A new, enabled key at a real vendor, and what its owner can do to it outside.

    A module of a vendor gives it by a context manager, `new_key(folder)`, which takes all of it
    away at the end; the folder is an empty one of the test.
    """

    kind: str
    """Its name in `external.kinds`."""
    settings: Settings
    """With these `open` opens it, credentials among them."""
    secrets: tuple[str, ...]
    """What may stand in no reason: credentials, and key bytes (hex) as far as they are known."""

    def open(self, seconds: float = PATIENCE) -> Provider:
        """A provider of this key; whoever asks closes it. Each call takes `seconds` at most."""
        ...

    def disable(self) -> None: ...

    def enable(self) -> None: ...

    def rotate(self) -> None:
        """The key gets new bytes; what was wrapped opens still."""
        ...

    def schedule_deletion(self, days: int) -> None:
        """Have the key deleted in so many days, 7 to 30; asked of vendors that can do that."""
        ...

    def cancel_deletion(self) -> None:
        """Take that back, which leaves the key disabled."""
        ...

    def remove(self) -> None:
        """The key is gone, the vendor is there."""
        ...

    def take_away(self) -> None:
        """The vendor is gone: the network, the token, the medium."""
        ...

    def give_back(self) -> None:
        """What was taken away is there again, with the key as it was."""
        ...

    def wrong_credentials(self) -> Provider:
        """A provider with credentials that the vendor refuses; asked of vendors that have any."""
        ...
