"""Keys in files, each test's in a folder of its own that stands for a medium."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.external.subject import PATIENCE

from keystead.adapters.external_keys import key_file_owner as owner
from keystead.adapters.external_keys.key_file import KeyFile
from keystead.base.secret import REVEAL
from keystead.external.provider import Provider, Settings


class FileKey:
    """A `Subject`: a key file, whose owner uses the functions that are made for him."""

    kind = "file"

    def __init__(self, folder: Path) -> None:
        self.medium, self._away = folder / "medium", folder / "away"
        self.file = self.medium / "key.json"
        self.medium.mkdir()
        created = owner.create(self.file)
        self.secrets: tuple[str, ...] = tuple(
            version.key.reveal(REVEAL).hex() for version in created.versions
        )
        self.settings: Settings = {"path": str(self.file)}

    def open(self, seconds: float = PATIENCE) -> Provider:
        return KeyFile(self.settings, seconds)

    def disable(self) -> None:
        owner.disable(self.file)

    def enable(self) -> None:
        owner.enable(self.file)

    def rotate(self) -> None:
        owner.rotate(self.file)

    def schedule_deletion(self, days: int) -> None:
        owner.schedule_deletion(self.file, days)

    def cancel_deletion(self) -> None:
        owner.cancel_deletion(self.file)

    def remove(self) -> None:
        self.file.unlink()

    def take_away(self) -> None:
        self.medium.rename(self._away)

    def give_back(self) -> None:
        self._away.rename(self.medium)

    def wrong_credentials(self) -> Provider:
        raise NotImplementedError


@contextmanager
def new_key(folder: Path) -> Iterator[FileKey]:
    """A `Subject` for the contract suite."""
    yield FileKey(folder)
