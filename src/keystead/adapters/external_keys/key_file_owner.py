"""What the owner of a key file does to it.

Each change is written aside, read back and put in place at once; the folder is locked meanwhile, so
that no version made by somebody else is lost. Killed anywhere, a file is as before or as after.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from keystead.adapters.external_keys.key_file import (
    KeyFileContent,
    State,
    Version,
    encode,
    read,
)
from keystead.base import clock
from keystead.base.errors import Conflict, IllegalTransition, Invalid, Unavailable
from keystead.base.ids import new_id
from keystead.crypto import wrap
from keystead.instance.home import reach_disk, write_private

SOONEST_DAYS: Final = 7
LATEST_DAYS: Final = 30
_DAY: Final = 86_400


class Action(StrEnum):
    """What can be done to a key file."""

    DISABLE = "be disabled"
    ENABLE = "be enabled"
    ROTATE = "be rotated"
    SCHEDULE = "be set to be deleted"
    CANCEL = "be kept"
    DELETE = "be deleted"


TRANSITIONS: Final[dict[tuple[State, Action], State]] = {
    (State.ENABLED, Action.DISABLE): State.DISABLED,
    (State.DISABLED, Action.ENABLE): State.ENABLED,
    (State.ENABLED, Action.ROTATE): State.ENABLED,
    (State.ENABLED, Action.SCHEDULE): State.PENDING,
    (State.DISABLED, Action.SCHEDULE): State.PENDING,
    (State.PENDING, Action.CANCEL): State.DISABLED,
    (State.PENDING, Action.DELETE): State.PENDING,  # until the file is gone
}


def create(path: Path) -> KeyFileContent:
    """A new key file, enabled, with one version.

    Raises:
        Conflict: when there is a file.
        Unavailable: when its folder is not there, or the medium fails.
    """
    with _held(path) as file:
        if file.exists():
            raise Conflict("key_file.exists", file=path)
        content = KeyFileContent(new_id(), State.ENABLED, None, (_version(),))
        _write(file, content)
        return content


def disable(path: Path) -> KeyFileContent:
    """Let the key wrap and open nothing. Raises as `read`, and IllegalTransition."""
    return _change(path, Action.DISABLE)


def enable(path: Path) -> KeyFileContent:
    """Let a disabled key wrap and open again. Raises as `read`, and IllegalTransition."""
    return _change(path, Action.ENABLE)


def rotate(path: Path) -> KeyFileContent:
    """A new version wraps from now on; the others open. Raises as `read`, and IllegalTransition."""
    return _change(path, Action.ROTATE)


def schedule_deletion(path: Path, days: int) -> KeyFileContent:
    """Let the key wrap and open nothing, and be deleted by `delete` after 7 to 30 days.

    Raises:
        Invalid: for other numbers of days; else as `read`, and IllegalTransition.
    """
    if not SOONEST_DAYS <= days <= LATEST_DAYS:
        raise Invalid("key_file.waiting", days=days)
    return _change(path, Action.SCHEDULE, delete_at=clock.after(days * _DAY))


def cancel_deletion(path: Path) -> KeyFileContent:
    """Keep the key after all, disabled. Raises as `read`, and IllegalTransition."""
    return _change(path, Action.CANCEL, delete_at=None)


def delete(path: Path) -> None:
    """Remove a key file that is due to be deleted.

    Raises:
        Conflict: when it is not due yet; else as `read`, and IllegalTransition.
    """
    with _held(path) as file:
        content = read(file)
        _next(content, Action.DELETE)
        if content.delete_at is not None and clock.now() < content.delete_at:
            raise Conflict("key_file.not_due", file=path, moment=content.delete_at)
        _aside(file).unlink(missing_ok=True)
        file.unlink()
        reach_disk(file.parent)


def _change(path: Path, action: Action, **changes: Any) -> KeyFileContent:
    with _held(path) as file:
        content = read(file)
        if action is Action.ROTATE:
            changes["versions"] = (*content.versions, _version())
        changed = content._replace(state=_next(content, action), **changes)
        _write(file, changed)
        return changed


def _next(content: KeyFileContent, action: Action) -> State:
    if (content.state, action) not in TRANSITIONS:
        allowed = " or ".join(action for state, action in TRANSITIONS if state is content.state)
        raise IllegalTransition(
            "key_file.transition", state=content.state, action=action, allowed=allowed
        )
    return TRANSITIONS[content.state, action]


def _version() -> Version:
    return Version(new_id(), clock.now(), wrap.new_key())


def _write(file: Path, content: KeyFileContent) -> None:
    """Put a file in place after it was read back from where it was written."""
    aside = _aside(file)
    aside.unlink(missing_ok=True)  # of somebody who was killed
    try:
        write_private(aside, encode(content))
        read(aside)
        aside.replace(file)
        reach_disk(file.parent)
    finally:
        with suppress(OSError):
            aside.unlink(missing_ok=True)


def _aside(file: Path) -> Path:
    return file.with_name(f"{file.name}.next")


@contextmanager
def _held(path: Path) -> Iterator[Path]:
    """The file itself, where `path` may be a link to it, while nobody else changes it."""
    file = path.resolve()
    try:
        folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield file
        finally:
            os.close(folder)
    except OSError as error:
        raise Unavailable("key_file.away", file=path, reason=error.strerror) from None
