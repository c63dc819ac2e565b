"""An instance out of a backup, in a folder that is empty: all of it, or nothing.

It is put together beside the folder and moved into place when all is proven:

1. the header is that of a backup, and the recovery key or passphrase opens its file key
2. the stream opens to its end, and holds exactly the files that a backup holds
3. the root key in it is the one that the recovery file yields, where the recovery key was given
4. the database, from the stream once more, is one of this engine and version, or an older one,
   which is taken along; one on a server was empty, and is marked as half restored until 7 is done
5. the root key opens it: every tagged row and every module key
6. open requests expire, exchange policies, tokens and sessions end, unfinished jobs are
   cancelled, active keys rotate, a new epoch begins
7. every value is opened and counted; what is under an external key that may not be used now is
   dark and counted so, and its keys are rotated when it may be used again
"""

from __future__ import annotations

import errno
import os
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Final, cast

from sqlalchemy import Connection

from keystead.access import accounts, exchange_policies, session_rows
from keystead.base.errors import Conflict, Invalid, Misconfigured, Tampered
from keystead.base.ids import new_id
from keystead.base.secret import Secret
from keystead.crypto import wrap
from keystead.crypto.stream import StreamReader
from keystead.database import versions
from keystead.database.port import Database
from keystead.exchange import service as exchange
from keystead.external.provider import OpenProvider
from keystead.fields import census
from keystead.instance import auditing, backup_file, database_url, epochs, root_files
from keystead.instance.backup import DATABASE, ROOT, SMALL_FILES, OnProgress, piece_name
from keystead.instance.backup_file import Header, Recipient, Unlock
from keystead.instance.home import (
    Home,
    Settings,
    reach_disk,
    read_settings,
    write_private,
    write_settings,
)
from keystead.instance.opening import (
    Connect,
    no_provider,
    opened_database,
    with_external_keys,
)
from keystead.jobs import processes
from keystead.jobs import service as jobs
from keystead.keys import renewal
from keystead.keys import service as keys
from keystead.keys.hierarchy import Hierarchy, instance_keys, open_hierarchy, store

_PIECE: Final = 1024 * 1024
_NO_MORE: Final = 10**9


@dataclass(frozen=True, slots=True)
class Begun:
    """What was ended, and begun anew, in an instance that was restored."""

    epoch: int
    cancelled_jobs: int
    expired_requests: int
    ended_policies: int
    rotated_keys: int
    kept_keys: int
    owed_keys: int
    ended_tokens: int


@dataclass(frozen=True, slots=True)
class Restored:
    """An instance that was restored: how many module keys and values of it open."""

    settings: Settings
    header: Header
    begun: Begun
    module_keys: int
    opened: int
    unreadable: int
    dark: int


def restore(
    file: Path,
    folder: Path,
    unlock: Unlock,
    connect: Connect,
    actor: str,
    on_progress: OnProgress,
    server: str = "",
    open_provider: OpenProvider = no_provider,
) -> Restored:
    """Restore a backup into a folder that is empty or does not exist.

    `server` is the URL of an empty database, for an instance that had its database on a server.

    Raises:
        Conflict: when the folder or the database is not empty.
        Invalid: when the file is no backup, or the recovery key or passphrase does not open it.
        Tampered: when the backup is damaged, or not as Keystead wrote it.
        Misconfigured: when a newer version made it, or the settings of the environment name
            another database.
    """
    folder = folder.absolute()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Conflict("home.exists", home=folder)
    with file.open("rb") as source:
        header = backup_file.read_header(file, source)  # step 1
        key = backup_file.file_key(header, unlock)
        content = _Content(file, source, header, key, on_progress)
        with _draft(folder) as draft:
            with _damage(file):
                root = _unpacked(content, draft)
                settings = _proven_settings(draft, header, root, unlock)
            settings = _placed(draft, settings, server)
            restored = _filled(draft, settings, content, root, connect, actor, open_provider)
            reach_disk(draft.folder)
            draft.folder.rename(folder)
            reach_disk(folder.parent)
    return restored


@contextmanager
def _draft(folder: Path) -> Iterator[Home]:
    """A folder beside the one that is asked for; it is gone unless it was moved there."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Home(folder.with_name(f".{folder.name}.{new_id()}"))
    draft.folder.mkdir(mode=0o700)
    try:
        yield draft
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise Conflict("home.exists", home=folder) from None
        raise
    finally:
        shutil.rmtree(draft.folder, ignore_errors=True)


@contextmanager
def _damage(file: Path) -> Iterator[None]:
    try:
        yield
    except Tampered as error:
        raise Tampered("backup.damaged", file=file, reason=error.what.rstrip(".")) from None
    except (tarfile.TarError, Invalid, Misconfigured, EOFError, ValueError):
        reason = "it does not hold what a backup holds"
        raise Tampered("backup.damaged", file=file, reason=reason) from None


class _Content:
    """What is in a backup; it is read twice, so that nothing is done with one that is not whole."""

    def __init__(
        self, file: Path, source: BinaryIO, header: Header, key: Secret, on_progress: OnProgress
    ) -> None:
        self.header = header
        self.key = key
        self.on_progress = on_progress
        self._file = file
        self._source = source
        self._start = source.tell()

    def database(self) -> Iterator[bytes]:
        """The pieces of the database in their order."""
        with _damage(self._file):
            for name, content in self.members("filling"):
                if name == DATABASE:
                    yield content

    def members(self, phase: str) -> Iterator[tuple[str, bytes]]:
        """Every small file by its name, and the pieces of the database; step 2.

        Raises:
            Tampered: when the stream is damaged or does not end.
            Invalid: when something is missing, or is no part of a backup.
        """
        self._source.seek(self._start)
        stream = StreamReader(self.key, self.header.encoded(), self._source)
        total = os.fstat(self._source.fileno()).st_size
        wanted, pieces = {ROOT, *SMALL_FILES}, 0
        with tarfile.open(fileobj=cast("BinaryIO", stream), mode="r|") as archive:
            for entry in archive:
                content = archive.extractfile(entry) if entry.isreg() else None
                if content is None:
                    raise Invalid("backup.engine")
                if entry.name in wanted:
                    wanted.remove(entry.name)
                    yield entry.name, content.read(_PIECE)
                elif entry.name == piece_name(pieces) or (entry.name == DATABASE and not pieces):
                    pieces = pieces + 1 if entry.name != DATABASE else _NO_MORE
                    while piece := content.read(_PIECE):
                        yield DATABASE, piece
                        self.on_progress(phase, self._source.tell(), total)
                else:
                    raise Invalid("backup.engine")
        for _ in stream.chunks():
            pass  # only its true end shows that nothing is missing
        if wanted or not pieces:
            raise Invalid("backup.engine")


def _unpacked(content: _Content, draft: Home) -> Secret:
    """Write the small files of a backup into the draft; the root key."""
    found = {name: held for name, held in content.members("checking") if name != DATABASE}
    for name in SMALL_FILES:
        write_private(draft.folder / name, found[name])
    return backup_file.unseal_root(content.key, found[ROOT], content.header)


def _proven_settings(draft: Home, header: Header, root: Secret, unlock: Unlock) -> Settings:
    """The settings of the draft, whose root key file is written; step 3."""
    settings = read_settings(draft, {})
    if settings.instance_id != header.instance_id:
        raise Invalid("backup.engine")
    if unlock.kind is Recipient.RECOVERY_KEY:
        regained = root_files.recover_root(draft.recovery_file, unlock.secret, header.instance_id)
        if not wrap.same(regained, root):
            raise Tampered("root.wrong")
    root_files.write_root(draft.root_file, root)
    draft.log_file.parent.mkdir()
    return settings


def _placed(draft: Home, settings: Settings, server: str) -> Settings:
    """The settings of the draft with the database that it is to have."""
    if server:
        database_url.parse(server)
        settings = replace(settings, database=server)
        draft.settings_file.unlink()
        write_settings(draft, settings)
    elif settings.database:
        raise Invalid("backup.place", url=database_url.shown(settings.database))
    if read_settings(draft, os.environ).database != settings.database:
        raise Misconfigured("backup.environment", variable="KEYSTEAD_DATABASE")
    return settings


def _filled(
    draft: Home,
    settings: Settings,
    content: _Content,
    root: Secret,
    connect: Connect,
    actor: str,
    open_provider: OpenProvider,
) -> Restored:
    header = content.header
    with opened_database(draft, connect) as database:
        database.fill(content.database(), draft.copy_file)  # step 4
        draft.copy_file.unlink(missing_ok=True)
        with database.transaction() as tx:
            found = versions.check(tx, header.name, allow_older=True, is_restoring=True)
            older = found != versions.head()
            if older:
                # first, as an upgrade does: the new tables need what is stored
                store(tx, root, settings.instance_id, instance_keys(tx, root, settings.instance_id))
                versions.migrate(tx)
            hierarchy, external = with_external_keys(  # step 5
                database, open_hierarchy(tx, root, settings.instance_id), open_provider
            )
            if older:
                auditing.adopt(tx, hierarchy, actor)
            module_keys = renewal.check(tx, hierarchy)
            begun = _begin(tx, hierarchy, header, actor)  # step 6
        opened, unreadable, dark = _opened_values(  # step 7
            database, hierarchy, content.on_progress
        )
        external.leases.close()
        auditing.accept(draft, database, hierarchy, "restored from a backup", actor)
        with database.transaction() as tx:
            versions.end_restore(tx)
    return Restored(settings, header, begun, module_keys, opened, unreadable, dark)


def _begin(tx: Connection, hierarchy: Hierarchy, header: Header, actor: str) -> Begun:
    processes.remove_all(tx)
    epoch = epochs.begin(tx, hierarchy.integrity, header.backup_id, header.made_at, actor)
    cancelled = jobs.cancel_unfinished(tx, actor)  # else they would keep keys from being rotated
    session_rows.end_every(tx, hierarchy.integrity, actor)
    keys_of_epoch = keys.rotate_all(tx, hierarchy, actor)
    return Begun(
        epoch=int(epoch["number"]),
        cancelled_jobs=cancelled,
        expired_requests=exchange.expire_open(tx, hierarchy, actor),
        # one that was used after the backup must not be used again
        ended_policies=exchange_policies.end_every_exchange_policy(tx, hierarchy.integrity),
        rotated_keys=keys_of_epoch.rotated,
        kept_keys=keys_of_epoch.kept,
        owed_keys=keys_of_epoch.owed,
        ended_tokens=accounts.end_every_token(tx, hierarchy.integrity, actor),
    )


def _opened_values(
    database: Database, hierarchy: Hierarchy, on_progress: OnProgress
) -> tuple[int, int, int]:
    done = 0

    def count(rows: int) -> None:
        nonlocal done
        done += rows
        on_progress("opening values", done, 0)

    counted = []
    with database.snapshot() as tx:
        present = set(database.table_names(tx))  # a configured table may have been dropped
        for table in sorted(present & census.configured_tables(tx, hierarchy)):
            counted += census.open_all(tx, database, hierarchy, table, on_rows=count)
    opened = sum(c.opened or 0 for c in counted)
    unreadable = sum(c.unreadable or 0 for c in counted)
    return opened, unreadable, sum(c.dark or 0 for c in counted)
