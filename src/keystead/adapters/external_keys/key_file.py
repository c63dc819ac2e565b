"""External keys in a file, best on a medium that can be taken away (docs/formats/external-keys.md).

The file is read anew for every call, so what its owner does to it counts at once. A file that is
not there is gone only while its folder is: so keep it in a folder of its own on the medium.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable
from concurrent.futures import Future
from enum import StrEnum
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeVar

import msgspec

from keystead.adapters.external_keys.context import place
from keystead.base import clock
from keystead.base.errors import Denied, Invalid, KeysteadError, NotFound, Tampered, Unavailable
from keystead.base.ids import is_id
from keystead.base.secret import REVEAL, Secret
from keystead.crypto import wrap
from keystead.crypto.sha256 import sha256
from keystead.external.provider import (
    Answer,
    Call,
    Context,
    Described,
    Refused,
    Settings,
    Unwrapped,
)

T = TypeVar("T")
_LARGEST: Final = 1024 * 1024
_OTHERS: Final = 0o077
_WRAPPED: Final = b"\x01"
_ID: Final = 16
_MOST_SAID: Final = 300


class State(StrEnum):
    """What a key file allows."""

    ENABLED = "enabled"
    DISABLED = "disabled"
    PENDING = "pending deletion"


class Version(NamedTuple):
    """32 bytes of a key file, their id and the moment they were made at."""

    id: str
    created_at: str
    key: Secret


class KeyFileContent(NamedTuple):
    """What a key file says. The newest version is the last; there is at least one."""

    id: str
    state: State
    delete_at: str | None
    versions: tuple[Version, ...]


class _StoredVersion(msgspec.Struct, forbid_unknown_fields=True):
    id: str
    created_at: str
    key: str


class _Stored(msgspec.Struct, forbid_unknown_fields=True):
    format: Literal["keystead-key-file-1"]
    id: str
    state: State
    delete_at: str | None
    versions: list[_StoredVersion]
    sha256: str = ""


def encode(content: KeyFileContent) -> bytes:
    """The bytes of a key file (clause 2)."""
    stored = _Stored(
        "keystead-key-file-1",
        content.id,
        content.state,
        content.delete_at,
        [_StoredVersion(v.id, v.created_at, v.key.reveal(REVEAL).hex()) for v in content.versions],
    )
    stored.sha256 = sha256(msgspec.json.encode(stored)).hex()
    return msgspec.json.encode(stored) + b"\n"


def parse(raw: bytes) -> KeyFileContent:
    """What `encode` was given.

    Raises:
        ValueError: for bytes that `encode` never writes.
    """
    stored = msgspec.json.decode(raw, type=_Stored)
    content = KeyFileContent(
        stored.id,
        stored.state,
        stored.delete_at,
        tuple(Version(v.id, v.created_at, Secret(bytes.fromhex(v.key))) for v in stored.versions),
    )
    ids = [version.id for version in content.versions]
    moments = [version.created_at for version in content.versions]
    if content.delete_at is not None:
        moments.append(content.delete_at)
    for moment in moments:
        clock.parse(moment)
    fits = (
        all(map(is_id, [content.id, *ids]))
        and len(set(ids)) == len(ids) > 0
        and {len(version.key) for version in content.versions} == {wrap.KEY_SIZE}
        and (content.delete_at is not None) == (content.state is State.PENDING)
        and encode(content) == raw
    )
    if not fits:
        raise ValueError("not as key files are written")
    return content


def read(path: Path) -> KeyFileContent:
    """What the key file at `path` says.

    Raises:
        NotFound: when its folder is there, and it is not.
        Unavailable: when its folder is not there or cannot be looked into, or the medium fails.
        Denied: when others can read or change it, or this user may not read it.
        Tampered: when it is no key file, or it was damaged.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            raw = file.read(_LARGEST)
    except OSError as error:
        raise _failure(path, error) from None
    if stat.S_IMODE(mode) & _OTHERS:
        raise Denied("key_file.exposed", file=path, mode=f"{stat.S_IMODE(mode):04o}")
    try:
        return parse(raw)
    except ValueError:
        raise Tampered("key_file.malformed", file=path) from None


def _failure(path: Path, error: OSError) -> KeysteadError:
    if not os.access(path.parent, os.R_OK | os.X_OK, effective_ids=True):
        return Unavailable("key_file.away", file=path, reason="its folder is not there")
    if isinstance(error, FileNotFoundError):
        return NotFound("key_file.missing", file=path)
    if isinstance(error, PermissionError):
        return Denied("key_file.unreadable", file=path)
    return Unavailable("key_file.away", file=path, reason=error.strerror)


_ANSWERS: Final[dict[type[KeysteadError], Answer]] = {
    NotFound: Answer.MISSING,
    Unavailable: Answer.UNREACHABLE,
    Denied: Answer.DENIED,
    Tampered: Answer.UNUSABLE,
}
_STATES: Final = {
    State.ENABLED: Answer.ENABLED,
    State.DISABLED: Answer.DISABLED,
    State.PENDING: Answer.PENDING_DELETION,
}


class KeyFile:
    """The key in a file, as a `Provider`.

    Raises:
        Invalid: when the path is no full one.
    """

    def __init__(self, settings: Settings, seconds: float) -> None:
        self._path = Path(settings["path"])
        if not self._path.is_absolute():
            raise Invalid("external.setting_value", setting="path", reason="it is no full path")
        self._seconds = seconds
        self._stuck: threading.Thread | None = None

    def describe(self) -> Described:
        """The key; its newest version is its material."""
        content = self._read(Call.DESCRIBE)
        return Described(
            reference=content.id,
            answer=_STATES[content.state],
            material_id=content.versions[-1].id,
            deletion_at=content.delete_at,
        )

    def wrap(self, plain: bytes, context: Context) -> bytes:
        """AES-256-GCM under the newest version (clause 3)."""
        newest = self._usable(Call.WRAP).versions[-1]
        wrapped = wrap.wrap(newest.key, Secret(plain), *place(context))
        return _WRAPPED + bytes.fromhex(newest.id) + wrapped

    def unwrap(self, wrapped: bytes, context: Context) -> Unwrapped:
        """What `wrap` was given, by the version that it names."""
        content = self._usable(Call.UNWRAP)
        head, sealed = wrapped[: 1 + _ID], wrapped[1 + _ID :]
        for version in content.versions:
            if head == _WRAPPED + bytes.fromhex(version.id):
                try:
                    plain = wrap.unwrap(version.key, sealed, *place(context))
                except Tampered:
                    break
                return Unwrapped(plain.reveal(REVEAL), version.id)
        raise Refused(Call.UNWRAP, Answer.WRONG, "it was not wrapped here for this")

    def close(self) -> None:
        """Nothing is held."""

    def _usable(self, call: Call) -> KeyFileContent:
        content = self._read(call)
        if content.state is not State.ENABLED:
            raise Refused(call, _STATES[content.state], f"the key file is {content.state}")
        return content

    def _read(self, call: Call) -> KeyFileContent:
        """What the file says; a medium that hangs holds back one thread, and no call."""
        read_by: Future[KeyFileContent] = Future()
        if self._stuck is not None and self._stuck.is_alive():
            raise Refused(call, Answer.UNREACHABLE, "the medium does not answer")
        self._stuck = None
        thread = threading.Thread(
            target=_settle, args=(read_by, lambda: read(self._path)), daemon=True
        )
        thread.start()
        try:
            return read_by.result(self._seconds)
        except TimeoutError:
            self._stuck = thread
            raise Refused(call, Answer.UNREACHABLE, "the medium does not answer in time") from None
        except KeysteadError as error:
            raise Refused(
                call, _ANSWERS[type(error)], error.what.rstrip(".")[:_MOST_SAID]
            ) from None


def _settle(future: Future[T], work: Callable[[], T]) -> None:
    try:
        future.set_result(work())
    except Exception as error:  # whoever waits for it raises it
        future.set_exception(error)
