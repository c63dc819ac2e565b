"""A backup of an instance: all that another machine needs, in one encrypted file.

1. every tagged row is read and every module key opened: what cannot be restored is not backed up
2. the small files go through the stream into a draft beside FILE
3. the database follows, as it is at one moment, while others may write: from a server through a
   pipe, from a file by way of a copy beside it
4. the draft is read back from its beginning to its end
5. the draft takes its name; the copy is gone

In it: database, settings, certificate and its key, the recovery file, the root key wrapped once
more. Not in it: the root key in clear, the job engine's state, logs, files that were exported.
"""

from __future__ import annotations

import errno
import fcntl
import io
import os
import tarfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, cast

from keystead.audit import log
from keystead.base.errors import Conflict, Misconfigured, Tampered, Unavailable
from keystead.base.ids import new_id
from keystead.base.secret import Secret
from keystead.crypto import wrap
from keystead.crypto.stream import StreamReader, StreamWriter
from keystead.database import versions
from keystead.database.port import Database
from keystead.instance import backup_file, root_files
from keystead.instance.backup_file import Header
from keystead.instance.home import Home, Settings, reach_disk
from keystead.instance.opening import Instance
from keystead.keys import renewal

OnProgress = Callable[[str, int, int], None]
DATABASE: Final = "database"  # one whole member in older backups
ROOT: Final = "root.sealed"
SMALL_FILES: Final = ("instance.toml", "root.recovery", "tls.key", "tls.crt")
CONTAINS: Final = (
    "the database with every wrapped key, settings, certificate and its key, recovery file",
    "the root key, wrapped: whoever can open the backup can open every value",
)
LACKS: Final = (
    "the root key in clear",
    "the job engine's state: a restore cancels unfinished jobs",
    "logs, and files that were loaded or exported",
)


def piece_name(number: int) -> str:
    """The member that holds a piece of the database; the first is 0."""
    return f"{DATABASE}.{number:06}"


@dataclass(frozen=True, slots=True)
class Made:
    """A backup that was read back after it was written. `size` is in bytes."""

    header: Header
    file: Path
    size: int


def make(
    instance: Instance,
    file: Path,
    passphrase: Secret | None,
    actor: str,
    on_progress: OnProgress,
) -> Made:
    """Write a backup of an opened instance to a new file, for its recovery key and a passphrase.

    Raises:
        Conflict: when the file exists.
        Misconfigured: when the home knows no recovery key for backups and no passphrase is given.
        Unavailable: when there is no room, or another backup is being made; nothing is left then.
        Tampered: when a row or key is not as it was written.
    """
    with instance.database.snapshot() as tx:
        renewal.check(tx, instance.hierarchy)
        # nobody upgrades meanwhile: the instance shares the home
        schema = versions.check(tx, instance.home.folder)
    made = write(
        file, instance.home, instance.settings, instance.database, schema, passphrase, on_progress
    )
    with instance.database.transaction() as tx:
        recipients = ", ".join(backup_file.kinds(made.header))
        log.record(tx, actor, "instance.backup", made.header.backup_id, recipients=recipients)
    return made


def write(
    file: Path,
    home: Home,
    settings: Settings,
    database: Database,
    schema: str,
    passphrase: Secret | None,
    on_progress: OnProgress,
) -> Made:
    """Steps 2 to 5, for a home whose root and tables nobody changes meanwhile.

    Raises:
        Conflict, Misconfigured, Unavailable: as `make`.
    """
    file = file.absolute()
    if file.exists():
        raise Conflict("backup.exists", file=file)
    if home.next_root_file.exists():
        raise Unavailable("home.busy", home=home.folder)
    public = root_files.backup_public(home)
    if public is None and passphrase is None:
        raise Misconfigured("backup.no_recipient", home=home.folder)
    draft = file.with_name(f".{file.name}.{new_id()}.partial")
    try:
        with _alone(home), draft.open("xb") as out:
            draft.chmod(0o600)
            key = wrap.new_key()
            header = backup_file.new_header(
                settings.instance_id, settings.name, schema, key, public, passphrase
            )
            _encrypt(out, home, database, header, key, on_progress)
            out.flush()
            os.fsync(out.fileno())
        size = _read_back(draft, header, key, on_progress)
        _name(draft, file)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Unavailable("file.unusable", file=file, reason=error.strerror) from None
        raise
    finally:
        draft.unlink(missing_ok=True)
    return Made(header, file, size)


@contextmanager
def _alone(home: Home) -> Iterator[None]:
    """One at a time copies the database into the home."""
    with home.backup_lock_file.open("a", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Unavailable("home.busy", home=home.folder) from None
        _remove_copy(home)  # of a backup that was killed
        try:
            yield
        finally:
            _remove_copy(home)


def _remove_copy(home: Home) -> None:
    for left in home.folder.glob(f"{home.copy_file.name}*"):
        left.unlink()


def _encrypt(
    out: BinaryIO,
    home: Home,
    database: Database,
    header: Header,
    key: Secret,
    on_progress: OnProgress,
) -> None:
    root = root_files.read_root(home.root_file)
    encoded = header.encoded()
    out.write(encoded)
    stream = StreamWriter(key, encoded, out)
    done = total = 0

    def on_copied(copied: int, of: int) -> None:
        nonlocal total
        total = of
        on_progress("copying", copied, of)

    with tarfile.open(
        fileobj=cast("BinaryIO", stream), mode="w|", format=tarfile.PAX_FORMAT
    ) as archive:
        for name in SMALL_FILES:
            _add(archive, name, (home.folder / name).read_bytes())
        _add(archive, ROOT, backup_file.seal_root(key, root, header))
        with closing(database.copy(home.copy_file, on_copied)) as pieces:
            for number, piece in enumerate(pieces):
                _add(archive, piece_name(number), piece)
                done += len(piece)
                on_progress("encrypting", done, total)
    # an error above leaves the stream without its end: nothing opens it
    stream.finish()


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))


def _read_back(draft: Path, header: Header, key: Secret, on_progress: OnProgress) -> int:
    """Open every chunk of what was written; the size of the file."""
    total = draft.stat().st_size
    with draft.open("rb") as source:
        if backup_file.read_header(draft, source) != header:
            raise Tampered("stream.damaged")
        for _ in StreamReader(key, header.encoded(), source).chunks():
            on_progress("verifying", source.tell(), total)
    return total


def _name(draft: Path, file: Path) -> None:
    """Give a draft its name, unless a file has taken it meanwhile."""
    try:
        file.hardlink_to(draft)
    except FileExistsError:
        raise Conflict("backup.exists", file=file) from None
    except OSError:  # a file system without hard links
        if file.exists():
            raise Conflict("backup.exists", file=file) from None
        draft.rename(file)
    reach_disk(file.parent)
